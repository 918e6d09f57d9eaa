"""A snapshot says what was different at another time; nothing else of the rows is said twice."""

from pathlib import Path

import pytest
from fixtures.small_rows import CASES, ROW, SECOND

from catalog.loader import found, load_catalog
from catalog.mesh import load_mesh
from catalog.model import Catalog
from catalog.snapshots import SHIPPED
from meshkit.yaml_file import ConfigError

SNAPSHOT = """\
over: rows
vendors:
  one:
    plans:
      free:
        limits:
          - {unit: requests, window: day UTC, amount: 7}
    default_plan: free
    key_page: null
    models:
      big:
        price: {input: 3, output: 9}
      old: {status: active, retired_on: null, successor: null, price: {input: 1, output: 1}}
      older:
        price: {input: 0.5, output: 0.5}
        source: https://one.example/once
        date: 2025-12-31
  two:
    models:
      big: {}
use_cases:
  chat:
    candidates:
      standard: [one/older]
"""


def laid(directory: Path, snapshot: str = SNAPSHOT) -> Catalog:
    rows = directory / "rows"
    rows.mkdir()
    (rows / "one.yaml").write_text(ROW.replace("group", "key_page: https://one.example/keys\ngroup"))
    (rows / "two.yaml").write_text(SECOND)
    (rows / "use_cases.yaml").write_text(CASES + "  prose: {candidates: {free: [one/big]}}\n")
    (directory / "then.yaml").write_text(snapshot)
    return load_catalog(directory / "then.yaml")


def test_keys_of_vendors_models_and_use_cases_are_replaced_one_by_one_and_null_takes_one_away(tmp_path: Path) -> None:
    known = laid(tmp_path)
    one = known.vendors["one"]
    assert (one.display_name, one.endpoint, one.key_page) == ("One", "https://one.example/v1", "")
    assert {name: [limit.amount for limit in plan.limits] for name, plan in one.plans.items()} == {"free": [7]}
    big, old = one.models["big"], one.models["old"]
    assert big.price is not None
    assert (big.price.input, big.aliases, big.source) == (3_000_000_000, ("large",), "https://one.example/prices")
    assert (old.status, old.retired_on, old.successor) == ("active", None, "")
    assert known.use_cases["chat"].aliases == ("talk",)
    assert known.use_cases["chat"].candidates == {"standard": ("one/older",)}


def test_models_and_use_cases_that_are_not_named_are_left_out_and_new_ones_added(tmp_path: Path) -> None:
    known = laid(tmp_path)
    assert list(known.vendors["one"].models) == ["big", "old", "older"]
    assert list(known.vendors["two"].models) == ["big"]
    assert list(known.use_cases) == ["chat"]


def test_the_rows_themselves_stay_as_they_are(tmp_path: Path) -> None:
    version = laid(tmp_path).version
    rows = load_catalog(tmp_path / "rows")
    assert rows.vendors["one"].models["old"].status == "retired"
    assert rows.version != version


@pytest.mark.parametrize(
    ("right", "broken", "message"),
    [
        ("  two:", "  tow:", "vendors.tow: unknown vendor; allowed: one, two"),
        ("over: rows", "ovre: rows", "ovre: unknown key; allowed: over, use_cases, vendors"),
        ("output: 9}", "output: nine}", "vendors.one.models.big.price.output: `nine` should be a valid number"),
        ("amount: 7}", "amount: 7.5}", "vendors.one.plans.free.limits.0: 7.5 requests cannot be counted"),
        ("      big: {}", "      big: 3", "vendors.two.models.big: must be a mapping of keys"),
        ("[one/older]", "[one/odler]", "use_cases.chat.candidates.standard.0: unknown model `one/odler`"),
        ("successor: null", "successor: oldest", "vendors.one.models.old.successor: unknown successor `oldest`"),
    ],
)
def test_a_mistake_is_named_with_the_snapshots_own_line_and_key(
    tmp_path: Path, right: str, broken: str, message: str
) -> None:
    text = SNAPSHOT.replace(right, broken)
    line = next(number for number, said in enumerate(text.splitlines(), 1) if broken.strip() in said)
    with pytest.raises(ConfigError) as caught:
        laid(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/then.yaml:{line}: {message}")


def test_a_mistake_that_the_rows_make_is_still_theirs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"rows/two\.yaml:22: models\.old"):
        laid(tmp_path, SNAPSHOT.replace("      big: {}", "      big: {}\n      old: {retired_on: null}"))


def test_rows_below_a_snapshot_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere: no catalogue rows here; allowed: <vendor>\.yaml files"):
        laid(tmp_path, SNAPSHOT.replace("over: rows", "over: nowhere"))


def test_a_snapshot_the_mesh_ships_goes_by_its_name_unless_a_path_is_called_so(tmp_path: Path) -> None:
    assert found("2025", tmp_path) == SHIPPED / "2025.yaml"
    assert found("1999", tmp_path) == tmp_path / "1999"
    (tmp_path / "2025").mkdir()
    assert found("2025", tmp_path) == tmp_path / "2025"


def test_the_mesh_can_be_configured_with_a_snapshot(tmp_path: Path) -> None:
    laid(tmp_path)
    (tmp_path / "mesh.yaml").write_text("catalog: then.yaml\n")
    by_key = load_mesh(tmp_path / "mesh.yaml", {}).catalog
    by_variable = load_mesh(None, {"MESH_CATALOG": str(tmp_path / "then.yaml")}).catalog
    assert list(by_key.use_cases) == list(by_variable.use_cases) == ["chat"]
