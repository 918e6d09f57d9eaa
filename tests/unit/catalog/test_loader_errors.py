"""Every mistake in a catalogue row is reported with its file, its line, its key and what would be right."""

from pathlib import Path

import pytest
from fixtures.small_rows import CASES, ROW, SECOND

from catalog.loader import load_catalog
from meshkit.yaml_file import ConfigError

Mistake = tuple[str, str, int, str, str, str]  # replaced, by what; the line, key, problem and what is allowed


def load(directory: Path, row: str = ROW, second: str = SECOND, cases: str = CASES) -> None:
    (directory / "one.yaml").write_text(row)
    (directory / "two.yaml").write_text(second)
    (directory / "use_cases.yaml").write_text(cases)
    load_catalog(directory)


def test_the_rows_of_these_tests_are_right_before_they_are_broken(tmp_path: Path) -> None:
    load(tmp_path)


MISTAKES: list[Mistake] = [
    ("group: speed", "grupo: speed", 3, "grupo", "unknown key", "aliases, auth, concurrency_env, default_plan"),
    ("group: speed", "group: fast", 3, "group", "`fast` is not known", "'premium', 'cost_optimised'"),
    ("dialect: openai\n", "", 1, "dialect", "required key is missing", ""),
    ("dialect: openai", "dialect: Open-AI", 4, "dialect", "`Open-AI` is not a name", "lower-case letters"),
    ("https://one.example/v1", "one.example", 5, "endpoint", "`one.example` is not an endpoint", "http(s)://"),
    ("https://one.example/v1", "https://one.example/v1/", 5, "endpoint", "is not an endpoint", "without a slash"),
    ("https://one.example/v1", "https://me:pw@one.example/v1", 5, "endpoint", "is not an endpoint", ""),
    ("key_env: [ONE_API_KEY]", "key_env: ONE_API_KEY", 6, "key_env", "valid list", ""),
    ("[ONE_API_KEY]", "[one_api_key]", 6, "key_env.0", "`one_api_key` is not the name of a variable", "capital"),
    ("[ONE_API_KEY]", "[TWO_API_KEY]", 6, "key_env.0", "`TWO_API_KEY` already holds a key of one", "of its own"),
    ("[ONE_API_KEY]", "[TWO_API_KEY_2]", 6, "key_env.0", "`TWO_API_KEY` already holds a key of one", "of its own"),
    ("group: speed", "regions: {eu: one.example}\ngroup: speed", 3, "regions.eu", "is not an endpoint", "http(s)://"),
    ("group: speed", "regions: eu\ngroup: speed", 3, "regions", "must be a mapping of keys", "key: value"),
    ("group: speed", "retired_on: soon\ngroup: speed", 3, "retired_on", "valid date", ""),
    ("group", "endpoint_env: {url: '{value}'}\ngroup", 3, "endpoint_env.url", "not the name of a variable", "capital"),
    ("key_env: [ONE_API_KEY]\n", "", 1, "key_env", "exclude each other", "one of the two"),
    ("port_offset: 0", "port_offset: zero", 8, "port_offset", "valid integer", ""),
    ("port_offset: 0", "port_offset: 1", 8, "port_offset", "1 is already the port of one", ""),
    ("default_plan: free", "default_plan: credit", 9, "default_plan", "no plan `credit`", "free, paid"),
    ("amount: 30", "amount: -1", 13, "plans.free.limits.0.amount", "greater than or equal to 0", ""),
    ("amount: 30", "amount: 0.5", 13, "plans.free.limits.0", "0.5 requests cannot be counted", "a whole number"),
    ("amount: 30", "amount: .nan", 13, "plans.free.limits.0.amount", "than or equal to", ""),
    ("amount: 30", "amount: many", 13, "plans.free.limits.0.amount", "valid number", ""),
    ("unit: requests", "unit: calls", 13, "plans.free.limits.0.unit", "`calls` is not known", "'tokens'"),
    ("window: minute", "window: fortnight", 13, "plans.free.limits.0.window", "`fortnight` is not a window", "rolling"),
    ("window: day UTC", "window: day Mars", 14, "plans.free.limits.1.window", "unknown time zone `Mars`", "IANA zone"),
    ("window: day UTC", "window: now", 14, "plans.free.limits.1", "requests per `now` makes no sense", "concurrency"),
    ("scope: model}", "scope: model}\n      - {unit: requests, window: rolling 60s, amount: 1, scope: model}", 14,
     "plans.free.limits.1", "requests per minute of big a second time", ""),
    ("1000}", "1000, models: [big]}", 14, "plans.free.limits.1.models", "holds for every model", "pool"),
    ("amount: 1000}", "amount: 1000, pool: x}", 14, "plans.free.limits.1", "a pool has a name", "scope: pool"),
    ("input: 1.5", "input: -1.5", 18, "models.big.price.input", "is not an amount of money", "0 to"),
    ("input: 1.5", "input: 0.0000000001", 18, "models.big.price.input", "more than nine decimals", "billionths"),
    ("input: 1.5, ", "", 18, "models.big.price.input", "required key is missing", ""),
    ("    price: {input: 1.5, output: 6}\n", "", 17, "models.big", "an active model needs a price", "price: {input"),
    ("aliases: [large]", "dimensions: 8", 17, "models.big", "of a model that makes vectors", "model_class: embedding"),
    ("aliases: [large]", "aliases: [OLD]", 19, "models.big.aliases.0", "`OLD` already names old", ""),
    ("aliases: [large]", "aliases: [large, Large]", 19, "models.big.aliases.1", "`Large` already names big", ""),
    ("    source: https://one.example/prices\n", "", 17, "models.big.source", "required key is missing", ""),
    ("date: 2026-11-20\n  old", "date: yesterday\n  old", 21, "models.big.date", "valid date", ""),
    ("  old:", "  BIG:", 22, "models.BIG", "differs from big only in case", ""),
    ("  old:", "  big:", 22, "models.big", "the key is there twice", ""),
    ("    retired_on: 2026-01-01\n", "", 22, "models.old", "a retired model needs the day it ended", "YYYY-MM-DD"),
    ("successor: big", "successor: bigger", 25, "models.old.successor", "unknown successor `bigger`", "vendor/model"),
    ("successor: big", "successor: two/huge", 25, "models.old.successor", "unknown successor `two/huge`", ""),
    ("successor: big", "successor: old", 25, "models.old.successor", "circle: one/old -> one/old", ""),
    ("aliases: [large]", "successor: two/old", 19, "models.big.successor", "circle", ""),
    ("aliases: [first]", "aliases: [TWO]", 2, "aliases.0", "`TWO` already names two", ""),
    ("group: speed", "auth: {kind: header}\ngroup: speed", 3, "auth", "needs the header's name", "x-api-key"),
    ("group: speed", "key_format: '['\ngroup: speed", 3, "key_format", "is not a regular expression", ""),
    ("group", "endpoint_parts: {resource: [X]}\ngroup", 3, "endpoint_parts.resource", "has no `{resource}`", ""),
]  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: f"{mistake[1][:40]}|{mistake[3]}")
def test_a_mistake_in_a_row_is_named_with_file_line_key_and_what_is_allowed(tmp_path: Path, mistake: Mistake) -> None:
    right, broken, line, key, problem, allowed = mistake
    assert right in ROW
    second = SECOND.replace("successor: big", "successor: one/big")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, ROW.replace(right, broken, 1), second)
    error = caught.value
    file = "two.yaml" if problem.endswith("of one") else "one.yaml"
    assert (Path(error.file).name, error.line, error.key) == (file, line, key)
    assert problem in error.problem
    assert allowed in error.allowed
    assert str(error).startswith(f"{error.file}:{line}: {key}: ")


MISTAKES_IN_USE_CASES: list[Mistake] = [
    ("[one/big]", "[one/bigg]", 5, "use_cases.chat.candidates.free.0", "unknown model `one/bigg`", "one/big"),
    ("[one/big]", "[]", 5, "use_cases.chat.candidates.free", "at least 1 item", ""),
    ("free: [", "cheap: [", 5, "use_cases.chat.candidates.cheap", "`cheap` is not known", "'ultra_economy'"),
    ("aliases: [talk]", "temperature: 3", 3, "use_cases.chat.temperature", "less than or equal to 2", ""),
    ("  chat:", "  prose: {aliases: [Talk]}\n  chat:", 4, "use_cases.chat.aliases", "`talk` already names", ""),
    ("  chat:", "  Chat:", 2, "use_cases.Chat", "should match pattern", ""),
]


@pytest.mark.parametrize("mistake", MISTAKES_IN_USE_CASES, ids=lambda mistake: mistake[1])
def test_a_mistake_in_the_use_cases_is_named_likewise(tmp_path: Path, mistake: Mistake) -> None:
    right, broken, line, key, problem, allowed = mistake
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, cases=CASES.replace(right, broken, 1))
    error = caught.value
    assert (Path(error.file).name, error.line, error.key) == ("use_cases.yaml", line, key)
    assert problem in error.problem
    assert allowed in error.allowed


def test_a_file_name_that_cannot_be_an_id_is_refused(tmp_path: Path) -> None:
    (tmp_path / "One-Vendor.yaml").write_text(ROW)
    with pytest.raises(ConfigError, match="`One-Vendor` cannot be a vendor's id; allowed: lower-case"):
        load_catalog(tmp_path)


def test_a_directory_without_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no catalogue rows here"):
        load_catalog(tmp_path)


def test_the_version_changes_with_a_row_and_only_then(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(ROW)
    first = load_catalog(tmp_path).version
    assert load_catalog(tmp_path).version == first
    (tmp_path / "one.yaml").write_text(ROW.replace("1.5", "1.6"))
    assert load_catalog(tmp_path).version != first
    assert 0 <= first < 2**48
