"""Exports as files: what is refused before anything is believed, and what a store refuses to take in."""

from hashlib import sha256
from pathlib import Path

import pytest
from fixtures.clock import ManualClock
from fixtures.quota import NOON, definitions, limit, reserve, settle, terms
from fixtures.valkey import PATIENCE, fresh_prefix, shared
from msgspec import json
from msgspec.structs import replace

from meshkit.errors import StartError
from quota_service.image import Image, header
from quota_service.stores.memory import MemoryStore
from quota_service.stores.redis.known import Recovery
from quota_service.stores.redis.store import RedisStore
from quota_service.stores.sqlite import SqliteStore
from quota_service.transfer import in_parts, read, write

GROQ = "groq/m#1"
DEFINITIONS = definitions(terms(GROQ, limit("groq/default", "requests", 10)))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON / 1_000)


@pytest.fixture
async def lines(clock: ManualClock) -> list[bytes]:
    store = MemoryStore(DEFINITIONS, clock)
    await store.apply([reserve("a", GROQ), reserve("b", GROQ)])
    await store.apply([settle("a")])
    return list(write(await store.image()))


def sealed(*lines: bytes) -> list[bytes]:
    """Lines with an end that fits them."""
    end = {"kind": "end", "lines": len(lines), "sha256": sha256(b"".join(lines)).hexdigest()}
    return [*lines, json.encode(end) + b"\n"]


def changed(line: bytes, **fields: object) -> bytes:
    return json.encode({**json.decode(line), **fields}) + b"\n"


def refusal(lines: list[bytes]) -> str:
    with pytest.raises(StartError) as caught:
        read(lines, "file")
    return str(caught.value)


def test_what_was_written_is_read(lines):
    image = read(lines, "file")
    assert list(write(image)) == lines
    assert [json.decode(line)["kind"] for line in lines] == ["header", "window", "hold", "spend", "end"]


def test_an_empty_ledger_is_a_header_and_an_end():
    empty = Image(header("memory", "", 0, 1))
    assert read(write(empty), "file").holds == []


def test_what_is_cut_short_lengthened_or_changed_is_refused(lines):
    assert refusal([]) == "file: it is cut short after 0 lines: the last line, with the checksum, is missing"
    assert refusal(lines[:-1]) == "file: it is cut short after 4 lines: the last line, with the checksum, is missing"
    assert refusal([*lines, lines[1]]) == "file:6: there is something behind the last line"
    assert refusal([*lines[:2], *lines[3:]]) == "file: 3 lines, and the last line says 4: some are missing or too many"
    spoiled = lines[1].replace(b'"used":1', b'"used":2')
    assert spoiled != lines[1]
    assert "the checksum is" in refusal([lines[0], spoiled, *lines[2:]])
    assert "it was changed" in refusal([lines[0], spoiled, *lines[2:]])


def test_another_schema_format_or_kind_is_refused_with_what_is_allowed(lines):
    newer = changed(lines[0], schema=2)
    assert refusal(sealed(newer, *lines[1:-1])) == (
        "file:1: format llm-mesh-ledger, schema 2; allowed: llm-mesh-ledger, schema 1"
    )
    assert refusal(sealed(*lines[1:-1])) == "file:1: an export begins with one line of the kind header"
    assert refusal(sealed(lines[0], lines[0])) == "file:2: an export begins with one line of the kind header"
    assert refusal(sealed(lines[0], changed(lines[1], kind="colour"))).startswith("file:2: is no line of an export")
    assert refusal(sealed(lines[0], changed(lines[1], used="many"))).startswith("file:2: is no line of an export")
    assert refusal([b"PK\x03\x04"]).startswith("file:1: is no export of a ledger")


def test_what_does_not_add_up_is_refused(lines):
    """I2."""
    head, window, hold, spend = lines[:-1]
    assert "held is 2, the open holds sum to 1" in refusal(sealed(head, changed(window, held=2), hold, spend))
    assert "which is not there" in refusal(sealed(head, hold, spend))
    lapsed = changed(hold, state="lapsed")
    assert "used is 0, the lapsed holds sum to 1" in refusal(sealed(head, changed(window, used=0, held=0), lapsed))


def test_parts_are_whole_lines(lines):
    assert b"".join(in_parts(lines * 1_000)) == b"".join(lines * 1_000)
    assert len(list(in_parts(lines * 1_000))) > 10
    assert all(part.endswith(b"\n") for part in in_parts(lines * 1_000))


async def test_a_store_that_is_not_empty_takes_nothing_in(lines, clock, tmp_path: Path):
    image = read(lines, "file")
    at_once = Recovery(short=0, long=0)
    sqlite = SqliteStore.open(tmp_path / "ledger.db", DEFINITIONS, clock)
    redis = await RedisStore.open(
        shared().url, DEFINITIONS, prefix=fresh_prefix(), recovery=at_once, clock=clock, silence=PATIENCE
    )
    for store, said in ((sqlite, "import into a new one"), (redis, "import under another prefix")):
        await store.take_in(image)
        before = await store.standing()
        with pytest.raises(StartError, match=f"not empty: {said}"):
            await store.take_in(image)
        assert await store.standing() == before
        assert await store.verify() == []
        await store.close()


async def test_a_store_that_does_not_count_so_far_takes_nothing_in(lines, clock):
    image = read(lines, "file")
    huge = Image(image.header, [replace(image.windows[0], used=2**53)], image.holds)
    store = await RedisStore.open(shared().url, DEFINITIONS, prefix=fresh_prefix(), clock=clock, silence=PATIENCE)
    with pytest.raises(StartError, match="an amount is 9007199254740993; the store counts to 9007199254740991"):
        await store.take_in(huge)
    assert (await store.image()).windows == []
    await store.close()
