"""Lengths of time, <think> tags, proxies and schemas are read right."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider_services.dialects import spans, think_tags, wire
from provider_services.dialects.interface import VendorFault
from provider_services.proxies import proxy_for


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("17ms", 0.017),
        ("1m26.4s", 86.4),
        ("6m0s", 360),
        ("17.399999999s", 17.399999999),
        ("14m24s", 864),
        ("38.2s", 38.2),
        ("60", 60),
        ("0", 0),
        ("1h2m3s", 3723),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("99999999999999s", None),
    ],
)
def test_a_vendors_length_of_time_is_read(text: str, expected: float | None) -> None:
    read = spans.seconds(text)
    assert read == pytest.approx(expected) if expected is not None else read is None


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:30 GMT", "date": "Fri, 20 Nov 2026 12:00:00 GMT"}, 30),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:30 GMT"}, None),
        ({"retry-after": "later"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_a_number_or_a_date(headers: dict[str, str], expected: float | None) -> None:
    assert spans.retry_after(headers) == expected


def test_a_daily_quota_ends_at_the_zones_midnight_by_the_answers_own_date() -> None:
    headers = {"date": "Fri, 20 Nov 2026 07:30:00 GMT"}  # 23:30 in Los Angeles
    assert spans.until_midnight(headers, "America/Los_Angeles") == 1800
    spring = {"date": "Sun, 08 Mar 2026 08:30:00 GMT"}  # 00:30 on the day of 23 hours
    assert spans.until_midnight(spring, "America/Los_Angeles") == 22.5 * 3600
    assert spans.until_midnight({}, "America/Los_Angeles") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<think>why</think>because", ("why", "because")),
        ("\n<think>\nwhy\n</think>\n\nbecause", ("why", "because")),
        ("plain <think>no</think>", ("", "plain <think>no</think>")),
        ("<think>cut off", ("cut off", "")),
        ("<thin", ("", "<thin")),
        ("", ("", "")),
    ],
)
def test_only_a_text_that_opens_with_the_tag_has_reasoning_in_it(text: str, expected: tuple[str, str]) -> None:
    assert think_tags.split(text) == expected


@given(st.lists(st.integers(min_value=0, max_value=60), max_size=20))
def test_the_tag_is_found_however_the_text_is_cut(cuts: list[int]) -> None:
    text = "<think>a < b </thin k> c</think>done </think> <think>"
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    tags = think_tags.ThinkTags()
    pieces = [tags.feed(text[begin:end]) for begin, end in pairwise(edges)]
    pieces.append(tags.close())
    assert "".join(thought for thought, _ in pieces) == "a < b </thin k> c"
    assert "".join(said for _, said in pieces) == "done </think> <think>"


PROXIES = {"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "localhost,.internal,10.0.0.0/8,example.com:8443"}


@pytest.mark.parametrize(
    ("url", "proxied"),
    [
        ("https://api.acme.com/v1", True),
        ("http://api.acme.com/v1", False),
        ("https://localhost:11434", False),
        ("https://vendor.internal", False),
        ("https://10.2.3.4", False),
        ("https://11.2.3.4", True),
        ("https://example.com:8443", False),
        ("https://example.com", True),
        ("https://notinternal", True),
    ],
)
def test_the_proxy_variables_are_honoured(url: str, proxied: bool) -> None:
    assert proxy_for(url, PROXIES) == ("http://proxy:3128" if proxied else None)


def test_a_proxy_without_scheme_is_plain_http_and_a_star_bypasses_all() -> None:
    assert proxy_for("http://a", {"http_proxy": "proxy:1"}) == "http://proxy:1"
    assert proxy_for("http://a", {"ALL_PROXY": "http://proxy:1"}) == "http://proxy:1"
    assert proxy_for("http://a", {"http_proxy": "proxy:1", "no_proxy": "*"}) is None


def test_a_schema_goes_through_byte_for_byte() -> None:
    text = '{"b": 1.0, "a": [null, {"z": "é"}], "c": 100000000000000000000}'
    assert wire.encode({"schema": wire.schema(text, "x")}) == f'{{"schema":{text}}}'.encode()


@pytest.mark.parametrize("text", ["", "{}", " { } "])
def test_a_schema_that_says_nothing_is_none(text: str) -> None:
    assert wire.schema(text, "x") is None


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b'"x"'])
def test_what_is_no_json_object_is_a_fault_and_no_crash(data: bytes) -> None:
    with pytest.raises(VendorFault):
        wire.decode_object(data)
