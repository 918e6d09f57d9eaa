"""The errors of the Python client: one class for each thing a program may want to do about it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import cast

import grpc

from meshkit import status
from meshkit.errors import MeshError, Reason


class UnauthenticatedError(MeshError):
    """The key is missing or wrong."""


class ForbiddenError(MeshError):
    """The key does not allow this."""


class InvalidRequestError(MeshError):
    """What was asked is wrong; `fields` name where and why."""


class NotFoundError(InvalidRequestError):
    """No such model or use case; the message names the closest."""


class BudgetExhaustedError(MeshError):
    """No budget has room; `quota` names them, `retry_after` says when to come back."""


class NoOfferError(MeshError):
    """Nothing can serve such a request; the message says what would."""


class UnavailableError(MeshError):
    """Nothing can serve now, or the mesh cannot be reached; try again after `retry_after`."""


class StreamIncompleteError(UnavailableError):
    """The answer broke off; what has come is not whole."""


class DeadlineExceededError(MeshError):
    """It took longer than it was given."""


class RepeatedError(MeshError):
    """A request with this id is running, or has been served."""


_CLASSES: Mapping[Reason, type[MeshError]] = {
    Reason.UNAUTHENTICATED: UnauthenticatedError,
    Reason.FORBIDDEN: ForbiddenError,
    Reason.UNKNOWN_MODEL: NotFoundError,
    Reason.UNKNOWN_USE_CASE: NotFoundError,
    Reason.BUDGET_EXHAUSTED: BudgetExhaustedError,
    Reason.NO_OFFER: NoOfferError,
    Reason.STREAM_INCOMPLETE: StreamIncompleteError,
    Reason.DEADLINE_EXCEEDED: DeadlineExceededError,
    Reason.REQUEST_RUNNING: RepeatedError,
    Reason.REQUEST_REPEATED: RepeatedError,
}
_BY_CODE: Mapping[str, type[MeshError]] = {
    "INVALID_ARGUMENT": InvalidRequestError,
    "UNAVAILABLE": UnavailableError,
    "RESOURCE_EXHAUSTED": BudgetExhaustedError,
    "DEADLINE_EXCEEDED": DeadlineExceededError,
}


@contextmanager
def told() -> Iterator[None]:
    """Turn a failed call into an error of a class of its own; a cancelled one stays what it is."""
    try:
        yield
    except grpc.RpcError as error:
        call = cast("grpc.aio.AioRpcError", error)  # both kinds answer alike
        if call.code() is grpc.StatusCode.CANCELLED:
            raise
        raise classed(status.from_rpc_error(call)) from None


def classed(error: MeshError) -> MeshError:
    """Return the error as the class its reason belongs to, else its code's, else as it is."""
    kind = _CLASSES.get(error.reason) or _BY_CODE.get(error.code, MeshError)
    return kind(
        error.reason,
        error.message,
        code=error.code,
        metadata=error.metadata,
        fields=error.fields,
        quota=error.quota,
        retry_after=error.retry_after,
        details=error.details,
    )


def incomplete() -> MeshError:
    """Make the error for a stream that ended without its finish."""
    return StreamIncompleteError(Reason.STREAM_INCOMPLETE, "the answer ended without its finish and is incomplete")
