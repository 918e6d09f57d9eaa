"""Counts which promises of product.yaml are kept: a test names its row with `@pytest.mark.product("P-...")`."""

import datetime as dt
import textwrap
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.promised_meshes import _empty, _former, _partial, _whole, empty, former, partial, spans, tracing, whole
from fixtures.shipped import shipped

from catalog.model import Catalog, Vendor

__all__ = ["_empty", "_former", "_partial", "_whole", "empty", "former", "partial", "spans", "tracing", "whole"]
TABLE = Path(__file__).with_name("product.yaml")
Row = Callable[[str], dict[str, Any]]


def table_rows(node: Any) -> Iterator[dict[str, Any]]:
    """Give every row of the table, however deep it lies."""
    if isinstance(node, dict):
        if str(node.get("id", "")).startswith("P-"):
            yield node
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from table_rows(child)


def rows_of(item: pytest.Item) -> tuple[str, ...]:
    """Give the rows a test declares."""
    return tuple(row for mark in item.iter_markers("product") for row in mark.args)


class Promises:
    """Remembers for each row what became of the tests that prove it."""

    def __init__(self, rows: tuple[str, ...]) -> None:
        self.rows = rows
        self._rows_of_test: dict[str, tuple[str, ...]] = {}
        self._outcomes: dict[str, set[str]] = defaultdict(set)
        self._failures: dict[str, list[str]] = defaultdict(list)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Refuse a test that names a row the table does not have."""
        for item in items:
            self._rows_of_test[item.nodeid] = rows = rows_of(item)
            unknown = [row for row in rows if row not in self.rows]
            if unknown:
                raise pytest.UsageError(f"{item.nodeid}: no row {unknown} in {TABLE.name}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the outcome of a test under its rows."""
        outcome = report.outcome
        if outcome == "passed" and report.when != "call":
            return
        for row in self._rows_of_test.get(report.nodeid, ()):
            self._outcomes[row].add(outcome)
            if outcome == "failed":
                self._failures[row].append(report.nodeid)

    def rows_by_state(self) -> dict[str, list[str]]:
        """Sort the rows: one failed test fails its row; a row nothing proves, or only skipped tests, is not yet."""
        states: dict[str, list[str]] = {"passed": [], "failed": [], "not yet": []}
        for row in self.rows:
            outcomes = self._outcomes[row]
            kept = "passed" if "passed" in outcomes else "not yet"
            states["failed" if "failed" in outcomes else kept].append(row)
        return states

    def lines(self) -> Iterator[str]:
        """Say which promises are kept."""
        states = self.rows_by_state()
        for state, rows in states.items():
            text = " ".join(rows) or "none"
            yield from textwrap.wrap(text, 118, initial_indent=f"{state:<9}", subsequent_indent=" " * 9)
        for row, tests in self._failures.items():
            yield f"{row} failed in {', '.join(tests)}"
        yield f"product: {len(self.rows)} rows, " + ", ".join(f"{len(rows)} {state}" for state, rows in states.items())


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--product-report", action="store_true", help="list the rows passed, failed, not yet")


def pytest_configure(config: pytest.Config) -> None:
    rows = tuple(row["id"] for row in table_rows(yaml.safe_load(TABLE.read_text(encoding="utf-8"))))
    config.pluginmanager.register(Promises(rows), "promises")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if config.getoption("product_report", default=False):
        terminalreporter.section("product")
        promises = config.pluginmanager.get_plugin("promises")
        assert isinstance(promises, Promises)
        for line in promises.lines():
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def table() -> dict[str, Any]:
    """Read the table of promises."""
    read: dict[str, Any] = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    return read


@pytest.fixture(scope="session")
def row(table: dict[str, Any]) -> Row:
    """Find a row by its id."""
    return {row["id"]: row for row in table_rows(table)}.__getitem__


@pytest.fixture(scope="session")
def catalogue() -> Catalog:
    """Read the shipped catalogue."""
    return shipped()


@pytest.fixture(scope="session")
def living(catalogue: Catalog) -> list[Vendor]:
    """Give the vendors that have not ended."""
    today = dt.datetime.now(dt.UTC).date()
    return [vendor for vendor in catalogue.vendors.values() if vendor.retired_on is None or vendor.retired_on > today]
