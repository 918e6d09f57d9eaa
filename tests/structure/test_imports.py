"""The import rules of the architecture that import-linter cannot say without naming every module."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DIALECTS = ROOT / "provider_services" / "dialects"
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def imported(path: Path) -> Iterator[str]:
    """Give the full name of everything a file imports, names of modules included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def offences(directory: str, allowed: tuple[str, ...], room: str) -> list[str]:
    """Name the imports from a room that go past the allowed modules."""
    return [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted((ROOT / directory).rglob("*.py"))
        for name in imported(path)
        if name.startswith(f"{room}.") and not f"{name}.".startswith(tuple(f"{module}." for module in allowed))
    ]


def test_the_edge_sees_of_the_router_only_its_interface():
    assert offences("router_service/edge", ("router_service.edge", "router_service.interface"), "router_service") == []


def test_the_edge_knows_no_catalogue():
    assert offences("router_service/edge", (), "catalog") == []


@pytest.mark.parametrize("dialect", sorted(path.parent.name for path in DIALECTS.glob("*/__init__.py")))
def test_a_dialect_imports_no_other_dialect(dialect):
    others = [path.name for path in DIALECTS.iterdir() if path.is_dir() and path.name not in (dialect, "__pycache__")]
    names = [name for path in (DIALECTS / dialect).rglob("*.py") for name in imported(path)]
    assert [name for name in names for other in others if name.startswith(f"provider_services.dialects.{other}")] == []


def test_generated_code_of_calls_is_imported_by_services_and_never_by_what_is_pure():
    (pure,) = (contract for contract in CONTRACTS if contract["name"].startswith("pure modules"))
    for module in pure["source_modules"]:
        place = ROOT / module.replace(".", "/")
        for path in [place.with_suffix(".py")] if place.with_suffix(".py").is_file() else place.rglob("*.py"):
            assert not any("pb2_grpc" in name for name in imported(path)), path


def test_no_module_of_the_source_is_outside_the_import_rules():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"deploy", "tools"}
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert packages == set(config["root_packages"])


@pytest.mark.parametrize(
    ("words", "heavy"),
    [
        ("serve quota", "rich.progress aiohttp.web llm_mesh.cli.bench"),  # the service itself is loaded when it is run
        ("doctor", "llm_mesh.cli.bench provider_services"),
        ("status", "aiohttp llm_mesh.doctor"),
    ],
)
def test_a_command_loads_what_it_needs_itself(words, heavy):
    code = f"import sys; from llm_mesh.cli.app import command_line; command_line({words.split()}); print(*sys.modules)"
    environment = {"PATH": "", "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"}
    loaded = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert set(heavy.split()) & set(loaded.split()) == set()


def test_a_ledger_of_one_machine_loads_no_client_of_another_machines_store():
    code = "import sys, quota_service.app; print(*sys.modules)"
    environment = {"PATH": "", "PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"}
    loaded = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True).split()
    assert "quota_service.stores.sqlite" in loaded
    assert "redis" not in loaded
