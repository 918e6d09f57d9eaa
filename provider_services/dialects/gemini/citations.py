"""Reads the sources of a candidate's text; their places are counted in bytes and become characters here."""

from collections.abc import Iterator, Mapping
from typing import Any

from llmmesh.chat.v1.chat_pb2 import Citation

from provider_services.dialects import wire


def read(candidate: Mapping[str, Any], said: str) -> Iterator[Citation]:
    """Return the sources of a text: what the search grounded, and what the model recited."""
    grounding = wire.mapping(candidate.get("groundingMetadata"))
    sources = [_source(chunk) for chunk in grounding.get("groundingChunks") or ()]
    encoded = said.encode()
    placed = False
    for support in grounding.get("groundingSupports") or ():
        segment = wire.mapping(support.get("segment"))
        for index in support.get("groundingChunkIndices") or ():
            if index < len(sources):
                placed = True
                yield _placed(sources[index], segment, said, encoded)
    if not placed:
        yield from sources
    recited = wire.mapping(candidate.get("citationMetadata"))
    for source in recited.get("citationSources") or recited.get("citations") or ():
        citation = Citation(uri=wire.text(source.get("uri")), title=wire.text(source.get("title")))
        yield _placed(citation, source, said, encoded)


def _source(chunk: Mapping[str, Any]) -> Citation:
    found = wire.mapping(chunk.get("web")) or wire.mapping(chunk.get("retrievedContext"))
    return Citation(uri=wire.text(found.get("uri")), title=wire.text(found.get("title")))


def _placed(source: Citation, segment: Mapping[str, Any], said: str, encoded: bytes) -> Citation:
    citation = Citation(uri=source.uri, title=source.title, quote=wire.text(segment.get("text")))
    begin, end = segment.get("startIndex") or 0, segment.get("endIndex") or 0
    if 0 <= begin < end <= len(encoded):
        start = len(encoded[:begin].decode(errors="ignore"))
        stop = len(encoded[:end].decode(errors="ignore"))
        if not citation.quote or said[start:stop] == citation.quote:
            citation.start, citation.end = start, stop
    return citation
