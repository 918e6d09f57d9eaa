"""Prices are compared with those of a price file, and written into the rows without touching anything else."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.small_rows import ROW, SECOND

from catalog.loader import load_catalog
from catalog.model import Catalog
from catalog.price_edit import Refreshed, edited
from catalog.prices import Comparison, compare, read_prices
from meshkit.errors import StartError

DAY = dt.date(2026, 12, 24)


def rows(directory: Path) -> Catalog:
    (directory / "one.yaml").write_text(ROW)
    (directory / "two.yaml").write_text(
        SECOND.replace("dialect: openai", "local: true\nopen_models: true\ndialect: openai")
    )
    return load_catalog(directory)


def listed(directory: Path, *models: dict[str, Any]) -> Path:
    file = directory / "prices.json"
    file.write_text(json.dumps({"_meta": {"generated": str(DAY), "units": "USD"}, "models": models}))
    return file


def row(model: str, **said: Any) -> dict[str, Any]:
    return {"vendor": "one", "model": model, "mode": "chat", **said}


def compared(directory: Path, *models: dict[str, Any]) -> Comparison:
    return compare(rows(directory), read_prices(listed(directory, *models)))


def changes(found: Comparison) -> dict[str, tuple[float | None, float]]:
    return {change.field: (change.was, change.now) for change in found.changes}


def test_a_price_that_differs_is_named_with_what_it_was_and_is(tmp_path: Path) -> None:
    found = compared(tmp_path, row("BIG", input_usd_per_1m=2, output_usd_per_1m=6, cached_input_usd_per_1m=0.2))
    assert changes(found) == {"input": (1.5, 2.0), "cached_input": (1.5, 0.2)}
    assert [(each.vendor, each.model) for each in found.changes] == [("one", "big"), ("one", "big")]
    assert found.generated == DAY


def test_what_the_file_leaves_out_is_no_change_and_nor_is_the_noise_of_floats(tmp_path: Path) -> None:
    found = compared(
        tmp_path,
        row("big", input_usd_per_1m=1.4999999999999998, output_usd_per_1m=None, cache_write_usd_per_1m=0),
    )
    assert (found.changes, len(found.matched)) == ((), 1)


@pytest.mark.parametrize(
    "said",
    [
        {"long_context_usd_per_1m": {"above_200k": {"input": 3, "output": 12, "cache_read_input": 0.3}}},
        {
            "tiered_pricing": [
                {"range": [0, 200_000], "input_cost_per_token": 1.5},
                {
                    "range": [200_000, 1_000_000],
                    "input_cost_per_token": 3,
                    "output_cost_per_token": 12,
                    "cache_read_input_token_cost": 0.3,
                    "output_cost_per_reasoning_token": 30,
                },
            ]
        },
    ],
)
def test_a_price_for_longer_prompts_is_read_in_both_spellings(tmp_path: Path, said: dict[str, Any]) -> None:
    assert changes(compared(tmp_path, row("big", input_usd_per_1m=1.5, **said))) == {
        "long_context.above": (None, 200_000),
        "long_context.input": (None, 3),
        "long_context.output": (None, 12),
        "long_context.cached_input": (None, 0.3),
    }


def test_models_that_have_ended_are_told_and_new_ones_listed_but_never_compared(tmp_path: Path) -> None:
    found = compared(
        tmp_path,
        row("big", input_usd_per_1m=1.5, status="retired"),
        row("old", input_usd_per_1m=9),  # retired in the row: its price does not matter
        row("huge", input_usd_per_1m=9),
        row("Large", input_usd_per_1m=9),  # an alias of one that is there
        row("gone", input_usd_per_1m=9, status="retired"),
        {"vendor": "two", "model": "any", "input_usd_per_1m": 9},  # whose models need no row
        {"vendor": "three", "model": "any", "input_usd_per_1m": 9},
    )
    assert [each.model for each in found.ended] == ["big"]
    assert [each.model for each in found.new] == ["huge"]
    assert found.changes == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"prices\.json: is not JSON"),
        ("[]", r"prices\.json: the file: .*docs/catalogue\.md"),
        ('{"models": []}', r"prices\.json: _meta: Field required"),
        ('{"_meta": {"generated": "soon"}, "models": []}', r"_meta\.generated: "),
        ('{"_meta": {"generated": "2026-12-24"}, "models": [{"vendor": "one"}]}', r"models\.0\.model: Field required"),
        (
            '{"_meta": {"generated": "2026-12-24"}, "models": [{"vendor": "a", "model": "b", "input_usd_per_1m": -1}]}',
            r"models\.0\.input_usd_per_1m: Input should be greater than or equal to 0",
        ),
    ],
)
def test_a_file_that_is_no_price_file_is_refused_with_the_place(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "prices.json").write_text(text)
    with pytest.raises(StartError, match=message):
        read_prices(tmp_path / "prices.json")
    with pytest.raises(StartError, match=r"nowhere\.json: cannot be read"):
        read_prices(tmp_path / "nowhere.json")


FILE = """\
# One vendor.
display_name: One   # as people write it

models:
  "one:a": # why it is here
    price: {input: 1, output: 2, cached_input: 0.1} # cheap
    source: "a list" # of old
    date: 2026-01-01
  two:
    family: two
    price:
      input: 2 # two dollars
      output: 10
      long_context: {above: 200000, input: 4, output: 18}
    source: https://two.example
    date: 2026-01-01 # the day it came
  three:
    price: {input: 3, output: 3}
    source: https://three.example
    date: 2026-01-01
"""


def refreshed(source: str = "", **prices: float) -> Refreshed:
    return Refreshed({name.replace("__", "."): value for name, value in prices.items()}, source, DAY)


def changed(text: str) -> dict[str, tuple[str, str]]:
    """Return the lines that differ from the file, by what each was; the file must have as many lines."""
    pairs = zip(FILE.splitlines(), text.splitlines(), strict=True)
    return {str(number): pair for number, pair in enumerate(pairs, 1) if pair[0] != pair[1]}


def test_only_figures_source_and_date_change_and_every_comment_stays() -> None:
    text = edited(FILE, {"one:a": refreshed("new list", input=1.25, output=2), "two": refreshed(long_context__input=5)})
    assert changed(text) == {
        "6": (
            "    price: {input: 1, output: 2, cached_input: 0.1} # cheap",
            "    price: {input: 1.25, output: 2, cached_input: 0.1} # cheap",
        ),
        "7": ('    source: "a list" # of old', '    source: "new list" # of old'),
        "8": ("    date: 2026-01-01", "    date: 2026-12-24"),
        "14": (
            "      long_context: {above: 200000, input: 4, output: 18}",
            "      long_context: {above: 200000, input: 5, output: 18}",
        ),
        "16": ("    date: 2026-01-01 # the day it came", "    date: 2026-12-24 # the day it came"),
    }


LONG = {"above": 200000, "input": 4, "output": 18}
LONGER = {"long_context.above": 9, "long_context.input": 6, "long_context.output": 6, "long_context.cached_input": 6}


@pytest.mark.parametrize(
    ("model", "prices", "expected"),
    [
        ("one:a", {"cached_input": 1}, {"input": 1, "output": 2}),  # a row does not say what follows from input
        ("three", {"cached_input": 0.5}, {"input": 3, "output": 3, "cached_input": 0.5}),
        ("two", {"cache_write": 2.5}, {"input": 2, "output": 10, "long_context": LONG, "cache_write": 2.5}),
        (
            "three",
            LONGER,
            {"input": 3, "output": 3, "long_context": {"above": 9, "input": 6, "output": 6}},
        ),
    ],
)
def test_a_price_that_gains_or_loses_a_figure_is_written_anew(
    model: str, prices: dict[str, float], expected: dict[str, Any]
) -> None:
    text = edited(FILE, {model: refreshed(**prices)})
    assert yaml.safe_load(text)["models"][model]["price"] == expected
    assert not any(line.endswith(" ") for line in text.splitlines())
    assert "# cheap" in text


def test_models_the_file_does_not_have_change_nothing() -> None:
    assert edited(FILE, {"four": refreshed(input=9)}) == FILE
