"""Reading .env files."""

from pathlib import Path

import pytest

from llm_mesh.env_file import parse_env, read_env_file
from meshkit.yaml_file import ConfigError

TABLE = [
    ("KEY=value", {"KEY": "value"}),
    ("  KEY = value  ", {"KEY": "value"}),
    ("export KEY=value", {"KEY": "value"}),
    ("# comment\n\nKEY=value", {"KEY": "value"}),
    ("KEY=value # why", {"KEY": "value"}),
    ("KEY=va#lue", {"KEY": "va#lue"}),
    ("KEY=#comment", {"KEY": ""}),
    ("KEY=", {"KEY": ""}),
    ("KEY=a=b", {"KEY": "a=b"}),
    ("KEY='a # b'  # why", {"KEY": "a # b"}),
    ("KEY='a\\n'", {"KEY": "a\\n"}),
    ('KEY="a\\n\\"b\\""', {"KEY": 'a\n"b"'}),
    ('KEY="C:\\dir"', {"KEY": "C:\\dir"}),
    ("KEY=$HOME", {"KEY": "$HOME"}),
    ("KEY=1\r\nOTHER=2\r\n", {"KEY": "1", "OTHER": "2"}),
    ("KEY=1\nKEY=2", {"KEY": "2"}),
]


@pytest.mark.parametrize(("text", "variables"), TABLE)
def test_a_line_means_what_people_expect(text: str, variables: dict[str, str]) -> None:
    assert parse_env(text) == variables


@pytest.mark.parametrize("line", ["no equals", "1KEY=x", "KE Y=x", 'KEY="open secret-77', "KEY='a' secret-77"])
def test_a_line_that_is_wrong_is_named_without_its_value(line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_env(f"GOOD=1\n{line}\n", ".env")
    assert str(caught.value).startswith(".env:2: ")
    assert "secret-77" not in str(caught.value)


def test_a_missing_file_means_no_variables(tmp_path: Path) -> None:
    assert read_env_file(tmp_path / ".env") == {}


def test_a_file_written_by_a_windows_editor_is_read(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"\xef\xbb\xbfKEY=value\r\n")
    assert read_env_file(file) == {"KEY": "value"}


def test_the_example_the_project_ships_can_be_read() -> None:
    assert "OPENAI_API_KEY" in read_env_file(Path(__file__).parents[3] / ".env.example")
