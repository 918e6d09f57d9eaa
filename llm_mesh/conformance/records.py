"""Reads recorded exchanges: JSON lines, one answer of a vendor each, as docs/conformance.md describes them."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from meshkit.errors import StartError

STREAMED = frozenset({"stream", "ndjson", "stream_json_array"})
MODEL_IN_URL = re.compile(r"/(?:models|deployments)/([^/:?]+)")
NAMELESS = "recorded"


@dataclass(frozen=True, slots=True)
class Record:
    """One recorded answer. `vendor` and `dialect` are the recording's own words; `pieces` is the body as it arrived."""

    id: str
    vendor: str
    dialect: str
    model: str
    streamed: bool
    kinds: frozenset[str]
    finishes: frozenset[str]
    status: int
    headers: Mapping[str, str]
    pieces: tuple[bytes, ...]

    @property
    def body(self) -> bytes:
        """The whole body."""
        return b"".join(self.pieces)


def read(directory: Path) -> list[Record]:
    """Read every recording of a directory, or of its subdirectory `open`.

    Raises:
        StartError: there is none, or a line is no record.
    """
    files = sorted(directory.glob("*.jsonl")) or sorted((directory / "open").glob("*.jsonl"))
    if not files:
        raise StartError(f"{directory}: no *.jsonl here")
    return [record for file in files for record in _lines(file)]


def _lines(file: Path) -> Iterator[Record]:
    for number, line in enumerate(file.read_text("utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield _record(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StartError(f"{file}:{number}: not a recorded exchange: {error!r}") from error


def _record(row: Mapping[str, Any]) -> Record:
    response, request = row["response"], row.get("request") or {}
    kinds = frozenset(row.get("kind") or ())
    body = (response["body"] or "").encode()
    return Record(
        id=row["id"],
        vendor=row["vendor"],
        dialect=row["dialect"],
        model=_model(request),
        streamed=bool(kinds & STREAMED),
        kinds=kinds,
        finishes=frozenset(row.get("finish_reasons") or ()),
        status=response["status"],
        headers=response.get("headers") or {},
        pieces=tuple(_cut(body, response.get("chunk_sizes") or [len(body)])),
    )


def _model(request: Mapping[str, Any]) -> str:
    body = request.get("json")
    named = body.get("model") if isinstance(body, dict) else None
    found = MODEL_IN_URL.search(request.get("url") or "")
    return named if isinstance(named, str) and named else found.group(1) if found else NAMELESS


def _cut(body: bytes, sizes: list[int]) -> Iterator[bytes]:
    edges = [0, *accumulate(sizes)]
    if edges[-1] != len(body):
        raise ValueError(f"chunk sizes add up to {edges[-1]}, the body has {len(body)} bytes")
    yield from (body[begin:end] for begin, end in pairwise(edges) if end > begin)
