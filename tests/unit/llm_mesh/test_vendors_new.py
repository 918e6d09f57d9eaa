"""`llm-mesh vendors new`: rows that load as they are written, and everything that cannot be one."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from catalog import loader
from catalog.loader import load_catalog
from llm_mesh.cli.app import command_line
from llm_mesh.new_row import NOWHERE

SHIPPED = Path(loader.__file__).parent
FILLED = {
    "models": {
        "m-1": {
            "context_window": 8192,
            "price": {"input": 0.5, "output": 1.5},
            "capabilities": ["tools"],
            "source": "https://acme.test/prices",
            "date": "2026-11-20",
        }
    }
}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A copy of the shipped catalogue."""
    directory = tmp_path / "rows"
    directory.mkdir()
    for file in SHIPPED.glob("*.yaml"):
        shutil.copy(file, directory)
    return directory


def new(name: str, rows: Path | None, *words: str) -> Result:
    where = ["--directory", str(rows)] if rows else []
    return CliRunner().invoke(command_line(), ["vendors", "new", name, *where, *words])


def test_the_row_is_commented_and_loads_as_it_is_written(rows: Path) -> None:
    done = new("acme", rows)
    assert done.exit_code == 0, done.output
    vendor = load_catalog(rows).vendors["acme"]
    assert (vendor.endpoint, vendor.key_env, vendor.models) == (NOWHERE, ("ACME_API_KEY",), {})
    text = (rows / "acme.yaml").read_text(encoding="utf-8")
    assert text.count("FILL IN") == 5
    for key in ("aliases", "quirks", "key_format", "key_page", "limits", "family", "price", "capabilities"):
        assert f"\n#{key}:" in text.replace(" ", "")


def test_no_key_goes_anywhere_and_prompts_count_as_trained_on_before_the_row_is_filled_in(rows: Path) -> None:
    new("acme", rows)
    vendor = load_catalog(rows).vendors["acme"]
    assert vendor.endpoint.partition("://")[2].partition("/")[0].endswith(".invalid")
    assert vendor.trains_on == {"paid": True}


def test_a_row_that_is_filled_in_serves_its_models(rows: Path) -> None:
    new("acme", rows, "--endpoint", "https://api.acme.test/v1")
    file = rows / "acme.yaml"
    models = yaml.safe_dump(FILLED).replace("'", "")
    file.write_text(file.read_text(encoding="utf-8").replace("models: {}", models), encoding="utf-8")
    assert [str(ref) for ref in load_catalog(rows).resolve("acme/m-1")] == ["acme/m-1"]


def test_what_is_said_is_in_the_row_and_in_what_is_next(rows: Path) -> None:
    done = new("acme", rows, "--endpoint", "https://api.acme.test/v1", "--key-env", "ACME_TOKEN")
    vendor = load_catalog(rows).vendors["acme"]
    assert (vendor.endpoint, vendor.key_env) == ("https://api.acme.test/v1", ("ACME_TOKEN",))
    for word in ("FILL IN", f"MESH_CATALOG={rows}", "ACME_TOKEN=...", "llm-mesh vendors check acme"):
        assert word in done.stdout


def test_without_a_dialect_it_is_the_one_most_vendors_speak(rows: Path) -> None:
    new("acme", rows)
    assert load_catalog(rows).vendors["acme"].dialect == "openai"


def test_a_key_travels_as_it_does_to_others_of_the_dialect(rows: Path) -> None:
    gemini = load_catalog(rows).vendors["gemini"]
    new("acme", rows, "--dialect", "gemini")
    assert load_catalog(rows).vendors["acme"].auth == gemini.auth
    new("home", rows, "--dialect", "ollama")
    home = load_catalog(rows).vendors["home"]
    assert (home.auth.kind, home.key_env, home.local, home.default_plan) == ("none", (), True, "local")


def test_each_row_gets_a_port_of_its_own_after_all_others(rows: Path) -> None:
    last = max(vendor.port_offset for vendor in load_catalog(rows).vendors.values())
    for number, name in enumerate(("acme", "bolt"), start=1):
        new(name, rows)
        assert load_catalog(rows).vendors[name].port_offset == last + number


def test_a_gap_is_used_when_the_last_port_is_taken(rows: Path) -> None:
    new("acme", rows)
    file = rows / "acme.yaml"
    last = load_catalog(rows).vendors["acme"].port_offset
    file.write_text(file.read_text(encoding="utf-8").replace(f"port_offset: {last}", "port_offset: 99"))
    taken = {vendor.port_offset for vendor in load_catalog(rows).vendors.values()}
    new("bolt", rows)
    assert load_catalog(rows).vendors["bolt"].port_offset == min(set(range(100)) - taken)


@pytest.mark.parametrize(
    ("name", "words", "why"),
    [
        ("Acme", (), "`Acme` cannot be a vendor's id; allowed: lower-case letters"),
        ("../acme", (), "`../acme` cannot be a vendor's id"),
        ("9acme", (), "`9acme` cannot be a vendor's id"),
        ("use_cases", (), "`use_cases` cannot be a vendor's id"),
        ("google", (), "`google` already names the vendor gemini"),
        ("groq", (), "groq.yaml exists; --force replaces it"),
        ("acme", ("--dialect", "soap"), "--dialect: unknown dialect `soap`; allowed: openai, anthropic"),
        ("acme", ("--key-env", "GROQ_API_KEY"), "--key-env: GROQ_API_KEY holds the key of groq"),
        ("acme", ("--key-env", "acme-key"), "--key-env: `acme-key` cannot be a variable"),
        (
            "acme",
            ("--endpoint", "api.acme.test"),
            "--endpoint: `api.acme.test` is not an endpoint; allowed: http(s)://",
        ),
        ("acme", ("--endpoint", "https://u:p@acme.test"), "--endpoint: `https://u:p@acme.test` is not an endpoint"),
    ],
)
def test_what_cannot_be_is_one_line_and_nothing_is_written(
    rows: Path, name: str, words: tuple[str, ...], why: str
) -> None:
    before = {file: file.read_bytes() for file in rows.parent.rglob("*.yaml")}
    done = new(name, rows, *words)
    assert (done.exit_code, done.stdout) == (1, "")
    assert why in done.stderr
    assert done.stderr.count("\n") == 1
    assert {file: file.read_bytes() for file in rows.parent.rglob("*.yaml")} == before


def test_a_row_that_is_there_is_replaced_when_forced_even_a_broken_one(rows: Path) -> None:
    new("acme", rows)
    (rows / "acme.yaml").write_text("display_nam: typo\n", encoding="utf-8")
    assert new("acme", rows).exit_code == 1
    assert new("acme", rows, "--force").exit_code == 0
    assert load_catalog(rows).vendors["acme"].display_name == "Acme"


def test_a_row_that_others_need_is_put_back(rows: Path) -> None:
    before = (rows / "groq.yaml").read_bytes()
    done = new("groq", rows, "--force")
    assert done.exit_code == 1
    assert "use_cases.yaml" in done.stderr
    assert (rows / "groq.yaml").read_bytes() == before


def test_a_directory_without_rows_is_refused_with_what_to_do(tmp_path: Path) -> None:
    done = new("acme", tmp_path)
    assert done.exit_code == 1
    assert f"copy the mesh's own first (cp {SHIPPED}/*.yaml {tmp_path})" in done.stderr


@pytest.mark.parametrize("how", ["variable", "file", "env file"])
def test_without_a_directory_the_row_goes_where_the_configuration_has_its_rows(
    rows: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(rows.parent)
    monkeypatch.delenv("MESH_CONFIG", raising=False)
    monkeypatch.delenv("MESH_CATALOG", raising=False)
    if how == "variable":
        monkeypatch.setenv("MESH_CATALOG", str(rows))
    elif how == "file":
        Path("mesh.yaml").write_text("catalog: rows\n", encoding="utf-8")
    else:
        Path(".env").write_text(f"MESH_CATALOG={rows}\n", encoding="utf-8")
    done = new("acme", None, "--json")
    assert Path(json.loads(done.stdout)["file"]).resolve() == (rows / "acme.yaml").resolve()
