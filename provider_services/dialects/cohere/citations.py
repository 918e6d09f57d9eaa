"""Reads what the model cites: documents and tool results, each with the words of the answer that rest on it."""

from collections.abc import Iterator, Mapping
from typing import Any

from llmmesh.chat.v1.chat_pb2 import Citation

from provider_services.dialects import wire


def read(cited: Mapping[str, Any], said: str) -> Iterator[Citation]:
    """Return one citation for each source; its place only where the text has the cited words there."""
    words = wire.text(cited.get("text"))
    start, end = wire.count(cited.get("start")), wire.count(cited.get("end"))
    placed = start < end <= len(said) and said[start:end] == (words or said[start:end])
    for source in cited.get("sources") or ():
        found = wire.mapping(source.get("document")) or wire.mapping(source.get("tool_output"))
        citation = Citation(
            uri=wire.text(found.get("url")),
            title=wire.text(found.get("title")) or wire.text(source.get("id")),
            quote=words,
        )
        if placed:
            citation.start, citation.end = start, end
        yield citation


def block(cited: Mapping[str, Any], texts: Mapping[int, Any]) -> int | None:
    """Return the number of the text block a citation is about: the one it names, else the last; None for another."""
    named = cited.get("content_index")
    if named is None:
        return max(texts, default=None)
    return named if named in texts else None
