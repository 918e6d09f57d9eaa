"""Files that are not even the YAML we read."""

from pathlib import Path

import pytest
from pydantic import Field

from meshkit.yaml_file import ConfigError, Document, StrictModel, load


class Part(StrictModel):
    count: int = 0


class Whole(StrictModel):
    name: str = ""
    parts: dict[str, Part] = Field(default_factory=dict)
    rows: list[Part] = Field(default_factory=list)
    best: Part | None = None


@pytest.mark.parametrize(
    ("text", "line", "key", "problem"),
    [
        ("name: [", 1, "", "is not YAML"),
        ("name: a\n\tb: c\n", 2, "", "is not YAML"),
        ("- a\n- b\n", 1, "", "must be a mapping"),
        ("just text\n", 1, "", "must be a mapping"),
        ("name: a\nname: b\n", 2, "name", "the key is there twice"),
        ("name: 2026-02-30\n", 1, "name", "`2026-02-30` cannot be read"),
        ("name: !!binary aGk=\n", 1, "name", "has a type that is not used here"),
        ("name: !!python/object:os.system x\n", 1, "name", "cannot be read"),
        ("name: 1\n", 1, "name", "valid string"),
        ("parts:\n  a: {count: 1, cuont: 2}\n", 2, "parts.a.cuont", "unknown key"),
        ("rows:\n  - {count: 1}\n  - {count: x}\n", 3, "rows.1.count", "valid integer"),
        ("rows:\n  - {count: true}\n", 2, "rows.0.count", "valid integer"),
        ("best: {count: 1.5}\n", 1, "best.count", "integer"),
        ("best: {cuont: 1}\n", 1, "best.cuont", "unknown key"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_line(
    tmp_path: Path, text: str, line: int, key: str, problem: str
) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(path, Whole)
    assert (caught.value.file, caught.value.line, caught.value.key) == (str(path), line, key)
    assert problem in caught.value.problem


def test_unknown_keys_deep_inside_name_the_keys_allowed_there(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text("parts:\n  a:\n    cuont: 2\n")
    with pytest.raises(ConfigError, match=r"file.yaml:3: parts.a.cuont: unknown key; allowed: count$"):
        load(path, Whole)


def test_the_first_mistake_of_the_file_is_the_one_reported(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text("nmae: x\nrows: 3\nname: 4\n")
    with pytest.raises(ConfigError) as caught:
        load(path, Whole)
    assert caught.value.line == 1


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text("# nothing said\n")
    assert load(path, Whole) == Whole()


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.yaml: cannot be read: No such file"):
        load(tmp_path / "none.yaml", Whole)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file.yaml").write_bytes(b"name: \xff\n")
    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        load(tmp_path / "file.yaml", Whole)


def test_a_mistake_in_an_overriding_value_names_where_the_value_came_from() -> None:
    document = Document("defaults")
    document.override(("best", "count"), "many", "environment variable COUNT")
    with pytest.raises(ConfigError, match=r"^environment variable COUNT: .*valid integer"):
        document.validate(Whole)
