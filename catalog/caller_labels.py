"""The labels callers may put on a request, for the ledger to sum spend by: few, short, and the same bounds for all."""

import re
from collections.abc import Iterator, Mapping

MOST = 4
LONGEST_VALUE = 64
KEY = re.compile(r"[a-z][a-z0-9_.-]{0,31}")
KEYS = "1 to 32 lower-case letters, digits, dots, hyphens and underscores, a letter first"
VALUES = f"1 to {LONGEST_VALUE} printable characters"


def faults(labels: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Give what is wrong with labels: where (empty for the whole, else the key), and what is allowed."""
    if len(labels) > MOST:
        yield "", f"{len(labels)} labels; allowed: at most {MOST}"
        return
    for key, value in sorted(labels.items()):
        if not KEY.fullmatch(key):
            yield key[:LONGEST_VALUE], f"is no name of a label; allowed: {KEYS}"
        elif not 1 <= len(value) <= LONGEST_VALUE or not value.isprintable():
            yield key, f"allowed: {VALUES}"
