"""docs/commands.md has every command, and every exit status commands end with."""

from fixtures.sandbox_mesh import ROOT
from typer.main import get_command

from llm_mesh.cli.app import command_line
from llm_mesh.cli.outcome import Exit

PAGE = (ROOT / "docs/commands.md").read_text(encoding="utf-8")


def names(command, prefix="llm-mesh"):
    """Name every command that does something, with its group."""
    for name, inner in command.commands.items():
        if inner.hidden or name == "providers":
            continue
        if hasattr(inner, "commands"):
            yield from names(inner, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}"


def test_every_command_is_on_the_page():
    lines = [line for line in PAGE.splitlines() if "`llm-mesh" in line]
    missing = []
    for name in names(get_command(command_line())):
        group, _, last = name.rpartition(" ")
        if not any(name in line or (f"{group} " in line and f"`{last}`" in line) for line in lines):
            missing.append(name)
    assert [name for name in missing if " override " not in name] == []


def test_every_exit_status_is_on_the_page():
    for code in Exit:
        assert f"\n| {int(code)} | " in PAGE
