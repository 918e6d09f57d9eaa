"""The independent reading of recorded traffic stays independent."""

import ast
import sys
from pathlib import Path

import pytest

READERS = sorted((Path(__file__).parents[1] / "fixtures").glob("naive*.py"))


@pytest.mark.parametrize("reader", READERS, ids=lambda path: path.stem)
def test_an_independent_reader_imports_nothing_but_python_and_other_readers(reader: Path) -> None:
    for node in ast.walk(ast.parse(reader.read_text())):
        if isinstance(node, ast.Import):
            assert all(alias.name in sys.stdlib_module_names for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            others = node.module == "fixtures" and all(alias.name.startswith("naive_") for alias in node.names)
            assert others or (node.module or "").split(".")[0] in sys.stdlib_module_names
