"""What the router makes of what provider services say, and of their silence."""

import grpc
import pytest
from fixtures.router_house import eventually, house
from fixtures.small_mesh import catalog, mesh, model, vendor
from grpc.aio import AioRpcError, Metadata
from llmmesh.provider.v1 import provider_pb2

from meshkit import status
from meshkit.clock import SystemClock
from meshkit.errors import FieldViolation, MeshError, Reason
from router_service.connection import vendor_error
from router_service.descriptions import vendor_state
from router_service.offers import LOST, UNDESCRIBED, DescribedSlot
from router_service.vendors import Vendors

Describe = provider_pb2.DescribeResponse
SENT = provider_pb2.AttemptFailure
CONFIGURED, MISSING, MALFORMED, DISABLED, UNREACHABLE, NO_ENDPOINT = (
    Describe.STATE_CONFIGURED,
    Describe.STATE_MISSING,
    Describe.STATE_MALFORMED,
    Describe.STATE_DISABLED,
    Describe.STATE_UNREACHABLE,
    Describe.STATE_NO_ENDPOINT,
)


@pytest.mark.parametrize(
    ("states", "slots", "reason", "detail"),
    [
        ([CONFIGURED], (1,), "", ""),
        ([MISSING, CONFIGURED, MALFORMED, CONFIGURED], (2, 4), "", ""),
        ([], (), "not_configured", "no API key for alpha"),
        ([0], (), "not_configured", "no API key for alpha"),
        ([MISSING], (), "not_configured", "no API key for alpha"),
        ([MISSING, MALFORMED], (), "key_malformed", "the key of alpha is malformed: why 2"),
        ([DISABLED], (), "disabled", "alpha is disabled: why 1"),
        ([UNREACHABLE], (), "unreachable", "alpha is unreachable: why 1"),
        ([NO_ENDPOINT], (), "no_endpoint", "alpha has why 1"),
    ],
)
def test_a_vendor_has_its_usable_slots_or_the_worst_reason_why_not(states, slots, reason, detail):
    described = Describe(
        slots=[Describe.Slot(slot=n, state=state, reason=f"why {n}") for n, state in enumerate(states, 1)]
    )
    found = vendor_state(vendor("alpha"), described)
    assert (found.slots, found.reason, found.detail) == (slots, reason, detail)
    assert [slot.number for slot in found.described] == list(range(1, len(states) + 1))


def test_every_state_of_a_slot_has_its_word_and_its_reason_for_people():
    told = {
        CONFIGURED: "active",
        MISSING: "missing",
        MALFORMED: "malformed",
        DISABLED: "disabled",
        UNREACHABLE: "unreachable",
        NO_ENDPOINT: "no_endpoint",
    }
    for state, word in told.items():
        slot = Describe.Slot(slot=3, state=state, reason="why")
        found = vendor_state(vendor("alpha"), Describe(slots=[slot], warnings=["odd"]))
        assert (found.described, found.warnings) == ((DescribedSlot(3, word, "why"),), ("odd",))
    assert set(told) == {value.number for value in Describe.State.DESCRIPTOR.values} - {0}


def rpc_error(code: grpc.StatusCode, details: str = "", error: MeshError | None = None) -> AioRpcError:
    trailers = [] if error is None else [(status.DETAILS_KEY, status.to_proto(error).SerializeToString())]
    return AioRpcError(code, Metadata(), Metadata(*trailers), details)


UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("error", "reason", "sent"),
    [
        (
            rpc_error(UNAVAILABLE, "failed to connect to all addresses; last error: Connection refused"),
            Reason.VENDOR_UNREACHABLE,
            SENT.SENT_NOTHING,
        ),
        (
            rpc_error(UNAVAILABLE, "connections to all backends failing; last error: Connection reset by peer"),
            Reason.VENDOR_UNREACHABLE,
            SENT.SENT_NOTHING,
        ),
        (
            rpc_error(UNAVAILABLE, "DNS resolution failed for nowhere.test:1: C-ares status is not ARES_SUCCESS"),
            Reason.VENDOR_UNREACHABLE,
            SENT.SENT_NOTHING,
        ),
        (rpc_error(UNAVAILABLE, "Socket closed"), Reason.VENDOR_INCOMPLETE, SENT.SENT_UNKNOWN),
        (
            rpc_error(UNAVAILABLE, "ipv4:127.0.0.1:1: recvmsg:Connection reset by peer"),
            Reason.VENDOR_INCOMPLETE,
            SENT.SENT_UNKNOWN,
        ),
        (rpc_error(grpc.StatusCode.CANCELLED), Reason.VENDOR_INCOMPLETE, SENT.SENT_UNKNOWN),
        (rpc_error(grpc.StatusCode.UNIMPLEMENTED), Reason.VENDOR_INCOMPLETE, SENT.SENT_UNKNOWN),
        (
            rpc_error(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"),
            Reason.VENDOR_SILENT,
            SENT.SENT_UNKNOWN,
        ),
        (
            rpc_error(grpc.StatusCode.INTERNAL, error=MeshError(Reason.INTERNAL, "a defect")),
            Reason.VENDOR_INCOMPLETE,
            SENT.SENT_UNKNOWN,
        ),
    ],
    ids=lambda value: value.details() if isinstance(value, AioRpcError) else "",
)
def test_what_was_sent_is_inferred_when_a_provider_service_dies(error, reason, sent):
    told = vendor_error(error)
    assert (told.reason, told.detail(SENT).sent) == (reason, sent)


def test_a_vendors_error_is_passed_on_whole():
    said = MeshError(
        Reason.VENDOR_THROTTLED, "slow down", retry_after=3.0, details=[SENT(sent=SENT.SENT_ANSWERED, http_status=429)]
    )
    told = vendor_error(rpc_error(grpc.StatusCode.RESOURCE_EXHAUSTED, error=said))
    assert (told.reason, told.message, told.retry_after) == (Reason.VENDOR_THROTTLED, "slow down", 3.0)
    assert told.detail(SENT).http_status == 429


def test_an_error_without_a_word_of_what_was_sent_may_have_spent():
    said = MeshError(Reason.VENDOR_BAD_REQUEST, "no", fields=[FieldViolation("f", "d")], retry_after=2.0)
    told = vendor_error(rpc_error(grpc.StatusCode.INVALID_ARGUMENT, error=said))
    assert (told.reason, told.fields, told.retry_after) == (Reason.VENDOR_BAD_REQUEST, said.fields, 2.0)
    assert told.detail(SENT).sent == SENT.SENT_UNKNOWN


async def test_provider_services_are_asked_what_they_are_and_noticed_when_they_go():
    async with house(catalog(vendor("alpha", model("one")), vendor("beta", model("two")))) as running:
        assert running.vendors.states()["alpha"].slots == (1,)
        connection = running.vendors._connections["alpha"]
        await running.stop("alpha")
        await running.vendors._describe(connection)
        assert running.vendors.states()["alpha"] is LOST
        assert running.vendors.states()["beta"].slots == (1,)


async def test_a_provider_service_that_starts_anew_is_told_of_once_also_when_replicas_answer_in_turns():
    told = []
    async with house(catalog(vendor("alpha", model("one"))), slots={"alpha": (1, 3)}) as running:
        running.vendors._renewed = lambda vendor, slots: told.append((vendor, slots))
        connection = running.vendors._connections["alpha"]
        for incarnation in ("", "first", "first", "second", "first", "second"):
            running.provider("alpha").incarnation = incarnation
            await running.vendors._describe(connection)
    assert told == [("alpha", (1, 3))] * 2


async def test_a_vendor_that_is_switched_off_is_never_dialled():
    known = catalog(vendor("alpha", model("one")), vendor("beta", model("two")))
    configured = mesh(known, addresses={"alpha": "127.0.0.1:1", "beta": "127.0.0.1:1"}, switched_off=("beta",))
    async with Vendors(configured, SystemClock()) as vendors:
        states = vendors.states()
    assert states["alpha"] is UNDESCRIBED
    assert (states["beta"].reason, states["beta"].detail) == ("disabled", "beta is disabled by mesh.yaml")
    assert vendors.described_at("beta") is None


async def test_a_vendor_without_a_key_is_inactive_with_the_reason():
    async with house(catalog(vendor("alpha", model("one"))), slots={"alpha": ()}) as running:
        await eventually(lambda: running.vendors.states()["alpha"].reason == "not_configured")
        error = await running.failure()
    assert (error.reason, error.code) == (Reason.NO_OFFER, "FAILED_PRECONDITION")
    assert error.message == "no API key for alpha"
