"""Streams are cut into events the same way, however they arrive."""

import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider_services.dialects.framing import FramingError, JsonArrayReader, NdjsonReader, SseReader

Reader = SseReader | NdjsonReader | JsonArrayReader
SSE = (
    ': keep-alive\r\n\r\ndata: {"a":"é"}\r\n\r\nevent: error\ndata:{"b":1}\n\n: x\n\n\n'
    "id: 7\ndata: one\ndata: two\n\nevent: empty\n\ndata: [DONE]"
).encode()
NDJSON = '{"a":"日本"}\r\n\n{"b":2}\n  \n{"c":3}'.encode()
ARRAY = ('[{"a":"]}\\"{[é"}\r\n, {"b":[{"c":"\\\\"}]},\n{}\n]').encode()


def read(reader: Reader, data: bytes, cuts: list[int]) -> list[Any]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    found: list[Any] = []
    for begin, end in pairwise(edges):
        found.extend(reader.feed(data[begin:end]))
    return found + reader.close()


def test_server_sent_events_are_read_with_crlf_comments_names_and_no_final_blank_line() -> None:
    events = read(SseReader(), SSE, [])
    assert [(event.name, event.data.decode()) for event in events] == [
        (b"", '{"a":"é"}'),
        (b"error", '{"b":1}'),
        (b"", "one\ntwo"),
        (b"", "[DONE]"),
    ]


def test_json_lines_skip_blank_lines_and_take_a_last_line_without_end() -> None:
    assert [json.loads(line) for line in read(NdjsonReader(), NDJSON, [])] == [{"a": "日本"}, {"b": 2}, {"c": 3}]


def test_array_elements_are_found_whatever_their_strings_hold() -> None:
    assert [json.loads(part) for part in read(JsonArrayReader(), ARRAY, [])] == [
        {"a": ']}"{[é'},
        {"b": [{"c": "\\"}]},
        {},
    ]


@given(cuts=st.lists(st.integers(min_value=0, max_value=400), max_size=40))
@pytest.mark.parametrize(("make", "data"), [(SseReader, SSE), (NdjsonReader, NDJSON), (JsonArrayReader, ARRAY)])
def test_no_cutting_changes_what_is_read(make: Callable[[], Reader], data: bytes, cuts: list[int]) -> None:
    assert read(make(), data, cuts) == read(make(), data, [])


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert read(SseReader(), b"\xef\xbb\xbfdata: x\n\n", [1, 2])[0].data == b"x"


@pytest.mark.parametrize("make", [SseReader, NdjsonReader, JsonArrayReader])
@pytest.mark.parametrize("whole", [True, False])
def test_a_line_over_the_cap_is_refused_before_it_fills_the_memory(make: Callable[[int], Reader], whole: bool) -> None:
    line = b'[{"data":"' + b"x" * 200 + (b'"}]\n' if whole else b"")
    with pytest.raises(FramingError):
        read(make(100), line, list(range(0, len(line), 30)))


def test_an_event_of_many_short_lines_is_capped_too() -> None:
    with pytest.raises(FramingError):
        read(SseReader(100), b"data: 0123456789\n" * 20, list(range(0, 340, 17)))


@pytest.mark.parametrize("size", [1, 7, 400])
def test_an_element_over_the_cap_is_refused_and_what_is_between_elements_never_is(size: int) -> None:
    def pieces(body: bytes) -> list[Any]:
        reader = JsonArrayReader(cap=20)
        return [one for begin in range(0, len(body), size) for one in reader.feed(body[begin : begin + size])]

    assert pieces(b"[" + b" " * 50 + b'{"a":1}' + b" " * 50 + b"]") == [b'{"a":1}']
    with pytest.raises(FramingError):
        pieces(b'[{"a":"' + b"x" * 30 + b'"}]')
