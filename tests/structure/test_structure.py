"""The source stays small, plain and free of vendor names; the figures are printed by `make check`."""

from pathlib import Path

import pytest

from tools import structure


def test_every_file_function_and_vendor_mention_is_within_its_limit():
    report = structure.measure()
    assert list(report.faults()) == [], "\n" + "\n".join(report.lines())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "meshkit").mkdir()
    return tmp_path


def write(tree: Path, name: str, text: str) -> structure.Report:
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return structure.measure(tree)


def test_a_long_file_is_a_fault(tree):
    assert "321 lines in a file" in next(write(tree, "meshkit/long.py", "x = 1\n" * 321).faults())


def test_a_long_function_is_a_fault(tree):
    assert "lines in a function" in next(write(tree, "meshkit/f.py", "def f():\n" + "    x = 1\n" * 50).faults())


def test_a_tangled_function_is_a_fault(tree):
    text = "def f(x):\n" + "    if x:\n        x = 1\n" * 10
    assert "11 paths through a function" in next(write(tree, "meshkit/f.py", text).faults())


def test_a_function_inside_a_function_is_measured_for_itself(tree):
    inner = "def f(x):\n    def g():\n" + "        if x: pass\n" * 9 + "    if x: pass\n"
    assert [measure.figure for measure in write(tree, "meshkit/f.py", inner).complexities] == [10, 2]


@pytest.mark.parametrize("text", ["# as Groq does it", "VENDOR = 'deepseek'", "groq_window = 1"])
def test_a_vendor_named_in_the_source_is_a_fault(tree, text):
    (fault,) = write(tree, "meshkit/names.py", text + "\n").faults()
    assert "names the vendor" in fault


@pytest.mark.parametrize(
    "name",
    [
        "provider_services/dialects/openai.py",
        "provider_services/dialects/openai_quirks.py",
        "provider_services/simulator/wire_openai.py",
        "provider_services/dialects/__init__.py",
        "catalog/prices.py",
        "deploy/generate.py",
    ],
)
def test_a_vendor_may_be_named_in_the_files_that_are_its_own(tree, name):
    assert list(write(tree, name, "DIALECT = 'openai'\n").faults()) == []


def test_words_that_only_contain_a_vendor_are_none(tree):
    assert list(write(tree, "meshkit/names.py", "from google.rpc import status_pb2\nmaxai = 1\n").faults()) == []
