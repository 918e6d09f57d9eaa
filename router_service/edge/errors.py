"""Turns every failure into an HTTP status and an error object of the OpenAI shape.

MeshError           its gRPC code chooses the status, its reason the code
web.HTTPException   the server's own: no such path, wrong method, body too long
anything else       500 without its text; the log has its type and place
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
from aiohttp import web
from llmmesh.router.v1 import router_pb2

from meshkit import logs
from meshkit.errors import MeshError, Reason
from router_service.edge import extension
from router_service.edge import headers as header
from router_service.edge.shapes.mesh import Error, Failure, Particulars, PlainFailure

# gRPC code -> HTTP status and OpenAI error type.
STATUSES: Mapping[str, tuple[int, str]] = {
    "INVALID_ARGUMENT": (400, "invalid_request_error"),
    "OUT_OF_RANGE": (400, "invalid_request_error"),
    "UNAUTHENTICATED": (401, "authentication_error"),
    "PERMISSION_DENIED": (403, "permission_error"),
    "NOT_FOUND": (404, "not_found_error"),
    "ABORTED": (409, "conflict_error"),
    "ALREADY_EXISTS": (409, "conflict_error"),
    "RESOURCE_EXHAUSTED": (429, "rate_limit_error"),
    "CANCELLED": (499, "cancelled_error"),
    "INTERNAL": (500, "server_error"),
    "UNIMPLEMENTED": (501, "server_error"),
    "FAILED_PRECONDITION": (503, "service_unavailable_error"),
    "UNAVAILABLE": (503, "service_unavailable_error"),
    "DEADLINE_EXCEEDED": (504, "timeout_error"),
}
SPENT = (Reason.BUDGET_EXHAUSTED, Reason.VENDOR_QUOTA)
# Asking again cannot help: said in a header the official clients obey.
FINAL = ("ALREADY_EXISTS", "FAILED_PRECONDITION", "DEADLINE_EXCEEDED")
HTTP_CODES = {
    400: "malformed_http",
    404: "unknown_path",
    405: "method_not_allowed",
    408: "body_timeout",
    413: "request_too_large",
    431: "headers_too_large",
}

log = logs.get("edge")


@dataclass(frozen=True, slots=True)
class HttpFailure:
    """A failure as it goes to the caller."""

    status: int
    error: Error
    headers: dict[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        """Return the JSON that carries the error."""
        failure: Failure = {"error": self.error}
        return msgspec.json.encode(failure)

    def plain_body(self) -> bytes:
        """Return the JSON that carries the error where answers are plain objects."""
        failure: PlainFailure = {
            "success": False,
            "error": self.error["message"],
            "code": self.error["code"],
            "request_id": self.error["llm_mesh"]["request_id"],
        }
        return msgspec.json.encode(failure)


def describe(error: MeshError, request_id: str) -> HttpFailure:
    """Say a MeshError in HTTP."""
    status, kind = STATUSES.get(error.code, STATUSES["INTERNAL"])
    code = "rate_limit_exceeded" if status == 429 else error.reason.value.lower()
    body: Error = {
        "message": error.message,
        "type": "insufficient_quota" if error.reason in SPENT else kind,
        "code": code,
        "param": _param(error.fields[0].field) if error.fields else None,
        "llm_mesh": _particulars(error, request_id),
    }
    return HttpFailure(status, body, _headers(error))


def describe_http(exception: web.HTTPException, message: str, request_id: str) -> HttpFailure:
    """Say a refusal of the HTTP server itself in the same shape."""
    code = HTTP_CODES.get(exception.status, "http_error")
    body: Error = {
        "message": message,
        "type": "not_found_error" if exception.status == 404 else "invalid_request_error",
        "code": code,
        "param": None,
        "llm_mesh": {"reason": code.upper(), "request_id": request_id},
    }
    allow = exception.headers.get("Allow")
    return HttpFailure(exception.status, body, {"Allow": allow} if allow else {})


def as_mesh_error(defect: Exception) -> MeshError:
    """Return the error itself if callers may see it; else log where it came from and return INTERNAL."""
    if isinstance(defect, MeshError):
        return defect
    frame = defect.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    # The type and place, not the text: an exception's text may hold a prompt or a key.
    where = f"{frame.tb_frame.f_code.co_filename}:{frame.tb_lineno}" if frame else ""
    log.error("defect", type=type(defect).__name__, where=where)
    return MeshError(Reason.INTERNAL, "the mesh failed to serve this request; its log has the details")


def _particulars(error: MeshError, request_id: str) -> Particulars:
    found: Particulars = {"reason": error.reason.value, "request_id": request_id}
    if error.metadata:
        found["metadata"] = error.metadata
    if error.quota:
        found["budgets"] = [{"subject": budget.subject, "description": budget.description} for budget in error.quota]
    failure = error.detail(router_pb2.RouteFailure)
    if failure is not None:
        extension.describe_failure(failure, found)
    return found


def _param(field: str) -> str:
    """Name a field as the body does: the router's contract has it one level deeper."""
    for deeper in ("intent.", "prompt.sampling.", "prompt."):
        field = field.removeprefix(deeper)
    return field


def _headers(error: MeshError) -> dict[str, str]:
    headers = header.limits(error.quota)
    if error.retry_after is not None:
        wait = max(0.0, error.retry_after)
        headers["Retry-After"] = str(max(1, math.ceil(wait)))
        headers["retry-after-ms"] = str(math.ceil(wait * 1000))
    if error.code in FINAL:
        headers["x-should-retry"] = "false"
    if error.code == "UNAUTHENTICATED":
        headers["WWW-Authenticate"] = "Bearer"
    return headers
