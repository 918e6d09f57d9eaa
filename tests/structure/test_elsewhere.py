"""What goes wrong elsewhere has a test here, and the page that says so names tests that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "ledger-elsewhere.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
ROW = re.compile(r"^\| (?!elsewhere|---)(.+?) \| (.+) \|$", re.MULTILINE)


def test_every_test_the_page_names_is_there():
    named = NAMED.findall(PAGE.read_text())
    assert len(named) > 25
    missing = [name for file, name in named if not re.search(rf"def {name}\(", (ROOT / file).read_text())]
    assert missing == []


def test_every_item_names_a_test_or_says_why_it_cannot_occur():
    rows = ROW.findall(PAGE.read_text())
    assert len(rows) == 25
    unproven = [item for item, here in rows if not (NAMED.search(here) or "cannot occur" in here or "the same" in here)]
    assert unproven == []
