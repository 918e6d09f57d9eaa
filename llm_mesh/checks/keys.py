"""Asks the mesh which keys the vendors accept, and says which of them matter to whoever asked."""

from collections.abc import AsyncGenerator, Iterable, Sequence

import grpc
from llmmesh.router.v1 import router_pb2
from rich.table import Table
from rich.text import Text

from llm_mesh.cli import output
from llm_mesh.cli.session import Session
from meshkit.errors import Reason

TIMEOUT = 60.0
Told = router_pb2.CheckVendorsResponse
WITHOUT_KEY = ("missing", "disabled")
WORDS = {"well_formed": "well-formed", "not_needed": "not needed"}


async def check(way: Session, vendors: Iterable[str]) -> AsyncGenerator[Told]:
    """Ask, and give each slot when its vendor has answered; raises MeshError, UnreachableError."""
    request = router_pb2.CheckVendorsRequest(vendors=vendors)
    call = way.stub.CheckVendors(request, timeout=TIMEOUT, metadata=way.metadata)
    try:
        async for told in call:
            yield told
    except grpc.aio.AioRpcError as error:
        raise way.explain(error) from None
    finally:
        call.cancel()


def matter(told: Told, *, named: bool) -> bool:
    """Tell whether a slot is to be shown: one without a key only when its vendor was asked for by name."""
    return named or told.key not in WITHOUT_KEY


def works(told: Told, *, named: bool) -> bool:
    """Tell whether a slot fails no check: it works, or nobody named a local server that is down or an ended vendor."""
    local_is_down = told.key == "unreachable" and told.slot > 0
    return told.accepted or (not named and (local_is_down or told.reason == Reason.VENDOR_RETIRED))


def ordered(told: Iterable[Told]) -> list[Told]:
    """Return slots by vendor and number."""
    return sorted(told, key=lambda each: (each.vendor, each.slot))


def table(told: Sequence[Told]) -> Table:
    """Return one row for each slot; no column holds any part of a key."""
    made = output.table("vendor", "slot", "key", "accepted", "latency", "why not", numbers=("slot", "latency"))
    for each in told:
        made.add_row(
            each.vendor,
            str(each.slot or ""),
            WORDS.get(each.key, each.key),
            Text("yes", style="green") if each.accepted else Text("no", style="red"),
            output.duration(each.latency) if each.HasField("latency") else "",
            why_not(each),
        )
    return made


def why_not(told: Told) -> str:
    """Say why a key is not accepted; nothing when it is."""
    return "" if told.accepted else ": ".join(filter(None, (told.reason, told.message)))
