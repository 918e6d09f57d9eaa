"""The table of promises is whole, and every test beside it proves one of its rows."""

import re
from pathlib import Path


def test_the_table_has_175_rows_and_no_id_twice(pytestconfig):
    rows = pytestconfig.pluginmanager.get_plugin("promises").rows
    assert len(rows) == len(set(rows)) == 175


def test_every_product_test_file_names_the_rows_it_proves():
    files = [path for path in Path(__file__).parent.glob("test_*.py") if path.name != Path(__file__).name]
    unnamed = [path.name for path in files if not re.search(r"mark\.product\(\s*\"P-", path.read_text())]
    assert unnamed == []
