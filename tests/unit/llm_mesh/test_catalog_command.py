"""`llm-mesh catalog`: rows are checked, and their prices compared and written."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from fixtures.small_rows import CASES, ROW, SECOND
from typer.testing import CliRunner

from llm_mesh.cli.app import command_line
from llm_mesh.cli.outcome import Exit

ROOT = Path(__file__).parents[3]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Return a directory of two vendors' rows, old enough to be stale on any day this test may run."""
    directory = tmp_path / "rows"
    directory.mkdir()
    (directory / "one.yaml").write_text("# One.\n" + ROW.replace("date: 2026-11-20", "date: 2026-01-31"))
    (directory / "two.yaml").write_text(SECOND.replace("date: 2026-11-20", "date: 2999-01-01"))
    (directory / "use_cases.yaml").write_text(CASES)
    return directory


def prices(directory: Path, **said: Any) -> str:
    told = {"vendor": "one", "model": "big", "output_usd_per_1m": 6, "source": "a list", **said}
    new = {"vendor": "two", "model": "huge", "input_usd_per_1m": 1}
    file = directory / "prices.json"
    file.write_text(json.dumps({"_meta": {"generated": "2026-12-24"}, "models": [told, new]}))
    return str(file)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command_line(), ["catalog", *arguments], env={"MESH_CATALOG": None})


def test_rows_older_than_90_days_are_listed_and_end_with_status_1(rows: Path) -> None:
    said = run("check", "--catalog", str(rows), "--json")
    told = json.loads(said.stdout)
    assert (said.exit_code, told["vendors"], told["models"]) == (Exit.FAILED, 2, 4)
    assert [(each["vendor"], each["place"], each["date"]) for each in told["stale"]] == [
        ("one", "models.big", "2026-01-31")
    ]
    assert told["stale"][0]["days"] > 90
    table = run("check", "--catalog", str(rows))
    assert "models.big" in table.stdout
    assert "2 vendors with 4 models are in order; 1 older than 90 days" in table.stdout


def test_rows_that_are_right_and_fresh_end_with_status_0(rows: Path) -> None:
    (rows / "one.yaml").write_text(ROW.replace("date: 2026-11-20", "date: 2999-01-01"))
    said = run("check", "--catalog", str(rows))
    assert said.exit_code == Exit.DONE
    assert "nothing older" in said.stdout


@pytest.mark.parametrize(
    ("right", "broken", "message"),
    [
        ("group: speed", "grupo: speed", "one.yaml:4: grupo: unknown key"),
        ("dialect: openai", "dialect: telepathy", "one: unknown dialect `telepathy`; allowed: "),
        ("group: speed", "quirks: [shy]\ngroup: speed", "one: unknown quirks shy; allowed: "),
    ],
)
def test_a_row_that_is_wrong_is_named_with_what_is_allowed(rows: Path, right: str, broken: str, message: str) -> None:
    file = rows / "one.yaml"
    file.write_text(file.read_text().replace(right, broken))
    said = run("check", "--catalog", str(rows))
    assert said.exit_code == Exit.FAILED
    assert message in said.stderr


def test_the_shipped_rows_and_snapshots_are_in_order() -> None:
    for place in ("", "2025", str(ROOT / "catalog")):
        told = json.loads(run("check", "--catalog", place, "--json").stdout)
        assert told["vendors"] == 19


def test_prices_that_differ_are_shown_and_nothing_is_written(rows: Path) -> None:
    before = (rows / "one.yaml").read_text()
    said = run("prices", prices(rows, input_usd_per_1m=2), "--catalog", str(rows))
    assert said.exit_code == Exit.DONE
    assert ["one/big", "input", "1.5", "2"] in [line.split() for line in said.stdout.splitlines()]
    assert "not in the rows, and not added: two 1" in said.stdout
    assert "1 price changed; --write writes them" in said.stdout
    assert (rows / "one.yaml").read_text() == before
    told = json.loads(run("prices", prices(rows, input_usd_per_1m=2), "--catalog", str(rows), "--json").stdout)
    assert told["changes"] == [{"vendor": "one", "model": "big", "field": "input", "was": 1.5, "now": 2.0}]
    assert (told["new"], told["ended"], told["written"]) == (["two/huge"], [], [])


def test_prices_are_written_in_place_with_their_source_and_date_and_the_comments_stay(rows: Path) -> None:
    said = run("prices", prices(rows, input_usd_per_1m=2), "--catalog", str(rows), "--write")
    assert said.exit_code == Exit.DONE
    assert "1 file written" in said.stdout
    text = (rows / "one.yaml").read_text()
    assert text.startswith("# One.\n")
    assert 'price: {input: 2, output: 6}\n    aliases: [large]\n    source: "a list"\n    date: 2026-12-24' in text
    again = run("prices", prices(rows, input_usd_per_1m=2), "--catalog", str(rows), "--write")
    assert "0 prices changed; 0 files written" in again.stdout


def test_a_price_nobody_can_pay_is_refused_and_nothing_is_written(rows: Path) -> None:
    before = (rows / "one.yaml").read_text()
    said = run("prices", prices(rows, input_usd_per_1m=1e9), "--catalog", str(rows), "--write")
    assert said.exit_code == Exit.FAILED
    assert "is not an amount of money" in said.stderr
    assert (rows / "one.yaml").read_text() == before


def test_a_snapshot_is_no_place_to_write_prices_into(rows: Path) -> None:
    shutil.copy(ROOT / "catalog" / "snapshots" / "2025.yaml", rows.parent)
    said = run("prices", prices(rows), "--catalog", str(rows.parent / "2025.yaml"), "--write")
    assert said.exit_code == Exit.FAILED
    assert "prices are written into a directory of rows" in said.stderr


@pytest.mark.parametrize(
    ("file", "text"),
    [("mesh.yaml", "catalog: rows\n"), (".env", "MESH_CATALOG=rows\n"), ("mesh.yaml", "catalog: laid.yaml\n")],
)
def test_without_a_place_the_rows_are_those_of_a_mesh_started_here(
    rows: Path, monkeypatch: pytest.MonkeyPatch, file: str, text: str
) -> None:
    monkeypatch.chdir(rows.parent)
    Path(file).write_text(text)
    snapshot = "over: rows\nvendors: {one: {models: {big: {}}}, two: {models: {big: {}}}}\nuse_cases: {chat: {}}\n"
    Path("laid.yaml").write_text(snapshot)
    said = run("check", "--json")
    assert json.loads(said.stdout)["vendors"] == 2, said.stderr
