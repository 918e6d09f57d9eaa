"""`llm-mesh breaker` says what it needs before it asks anybody."""

from typer.testing import CliRunner

from llm_mesh.cli.app import command_line
from llm_mesh.cli.outcome import Exit


def test_a_breaker_alone_says_nothing_of_what_is_wished():
    done = CliRunner().invoke(command_line(), ["breaker", "groq"])
    assert done.exit_code == 2
    assert "open, close, auto or reset is needed" in done.output


def test_a_word_that_is_no_wish_is_refused_with_those_that_are():
    done = CliRunner().invoke(command_line(), ["breaker", "groq", "ajar"])
    assert done.exit_code == 2
    assert "'open', 'close', 'auto', 'reset'" in done.output


def test_a_router_that_is_away_is_told_as_such():
    done = CliRunner().invoke(command_line(), ["breaker", "groq", "open", "--address", "127.0.0.1:9"])
    assert done.exit_code == Exit.UNREACHABLE
