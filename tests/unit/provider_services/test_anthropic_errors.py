"""Errors and headers of the messages dialect."""

import json
from typing import Any

import pytest
from fixtures.prompts import reply
from llmmesh.provider.v1.provider_pb2 import Observation

from meshkit.errors import Reason
from provider_services.dialects import DIALECTS
from provider_services.dialects.interface import Fault, Subject

DIALECT = DIALECTS["anthropic"]
DATE = "Fri, 28 Nov 2025 09:13:23 GMT"


def fault(status: int, body: Any, quirks: tuple[str, ...] = (), **headers: str) -> Fault:
    written = body if isinstance(body, str) else json.dumps(body)
    return DIALECT.classify(Subject("acme", "acme-1", frozenset(quirks)), reply(written, status, **headers))


def error(kind: str, message: str = "words") -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


def bad(message: str) -> dict[str, Any]:
    return error("invalid_request_error", message)


def over(period: str) -> dict[str, Any]:
    return error("rate_limit_error", f"would exceed your rate limit of 5 requests per {period}")


LOW = "Your credit balance is too low to access the API. Please go to Plans & Billing."
REACHED = "You have reached your specified API usage limits. You will regain access on 2025-12-01 at 00:00 UTC."


@pytest.mark.parametrize(
    ("status", "body", "reason", "retryable"),
    [
        (401, error("authentication_error", "invalid x-api-key"), Reason.VENDOR_AUTH, False),
        (403, error("permission_error"), Reason.VENDOR_PERMISSION, False),
        (404, error("not_found_error", "model: x"), Reason.VENDOR_NOT_FOUND, False),
        (404, error("not_found_error", "model: x has been retired"), Reason.VENDOR_RETIRED, False),
        (400, error("invalid_request_error"), Reason.VENDOR_BAD_REQUEST, False),
        (400, bad("`temperature` is deprecated for this model."), Reason.VENDOR_BAD_REQUEST, False),
        (400, bad("max_tokens: 9 > 8, which is the maximum allowed number"), Reason.VENDOR_BAD_REQUEST, False),
        (400, bad("prompt is too long: 2 tokens > 1 maximum"), Reason.VENDOR_CONTEXT, False),
        (400, bad("This model does not support assistant message prefill"), Reason.VENDOR_UNSUPPORTED, False),
        (400, bad("input length and `max_tokens` exceed context limit: 1 + 2 > 2"), Reason.VENDOR_CONTEXT, False),
        (413, error("request_too_large", "Request exceeds the maximum size"), Reason.VENDOR_CONTEXT, False),
        (400, bad("Output blocked by content filtering policy"), Reason.VENDOR_CONTENT_FILTER, False),
        (400, bad(LOW), Reason.VENDOR_QUOTA, False),
        (400, bad(REACHED), Reason.VENDOR_QUOTA, False),
        (402, error("billing_error"), Reason.VENDOR_QUOTA, False),
        (429, error("enforced_spend_limit_reached"), Reason.VENDOR_QUOTA, False),
        (429, over("day"), Reason.VENDOR_QUOTA, False),
        (429, over("minute"), Reason.VENDOR_THROTTLED, True),
        (409, error("conflict_error"), Reason.VENDOR_SERVER, True),
        (500, error("api_error"), Reason.VENDOR_SERVER, True),
        (504, error("timeout_error"), Reason.VENDOR_SERVER, True),
        (529, error("overloaded_error"), Reason.VENDOR_OVERLOAD, True),
        (503, "<html>upstream</html>", Reason.VENDOR_OVERLOAD, True),
        (404, {"error": {"code": "DeploymentNotFound", "message": "none"}}, Reason.VENDOR_NOT_FOUND, False),
        (401, {"statusCode": 401, "message": "Unauthorized"}, Reason.VENDOR_AUTH, False),
        (400, {"error": "plain"}, Reason.VENDOR_BAD_REQUEST, False),
        (400, bad("This organization has been disabled."), Reason.VENDOR_PERMISSION, False),
    ],
)
def test_an_error_means_what_its_status_kind_and_words_say(
    status: int, body: Any, reason: Reason, retryable: bool
) -> None:
    found = fault(status, body)
    assert (found.reason, found.retryable, found.answered, found.http_status) == (reason, retryable, True, status)
    assert found.message


def test_throttling_lasts_as_long_as_the_vendor_says() -> None:
    found = fault(429, error("rate_limit_error"), retry_after="12")
    assert found.retry_after == 12
    (closed,) = found.observations
    assert (closed.closed_for.seconds, closed.scope) == (12, Observation.SCOPE_ACCOUNT)
    (closed,) = fault(429, error("rate_limit_error"), ("limits_per_model",), retry_after="12").observations
    assert (closed.scope, closed.model) == (Observation.SCOPE_MODEL, "acme-1")


def test_a_spend_limit_lasts_until_the_day_the_vendor_names() -> None:
    found = fault(400, bad(REACHED), date=DATE)
    assert found.retry_after == pytest.approx(2 * 86400 + 14 * 3600 + 46 * 60 + 37)
    assert found.observations[0].closed_for.seconds == int(found.retry_after or 0)
    assert fault(400, bad(REACHED)).retry_after is None


def seen(headers: dict[str, str], *quirks: str) -> list[Observation]:
    return DIALECT.observe(Subject("acme", "acme-1", frozenset(quirks)), headers)


def test_headers_tell_limits_and_the_moment_they_reset() -> None:
    headers = {"date": DATE}
    for unit in ("requests", "tokens", "input-tokens"):
        named = f"anthropic-ratelimit-{unit}"
        headers |= {f"{named}-limit": "50", f"{named}-remaining": "49", f"{named}-reset": "2025-11-28T09:14:00Z"}
    requests, tokens = seen(headers)
    assert (requests.unit, tokens.unit) == (Observation.UNIT_REQUESTS, Observation.UNIT_TOKENS)
    assert (requests.limit, requests.remaining, requests.window) == (50, 49, "minute")
    assert (requests.reset_after.seconds, requests.scope) == (37, Observation.SCOPE_ACCOUNT)
    assert seen(headers, "limits_per_model")[0].model == "acme-1"


@pytest.mark.parametrize(
    ("headers", "reset"),
    [
        ({"date": DATE, "anthropic-ratelimit-tokens-limit": "5", "anthropic-ratelimit-tokens-reset": "nope"}, None),
        (
            {
                "date": DATE,
                "anthropic-ratelimit-tokens-limit": "5",
                "anthropic-ratelimit-tokens-reset": "2025-11-28T09:14:00",
            },
            None,
        ),
        ({"anthropic-ratelimit-tokens-limit": "5", "anthropic-ratelimit-tokens-reset": "2025-11-28T09:14:00Z"}, None),
        (
            {
                "date": DATE,
                "anthropic-ratelimit-tokens-limit": "5",
                "anthropic-ratelimit-tokens-reset": "2025-11-28T09:00:00Z",
            },
            0,
        ),
        ({"x-ratelimit-limit-tokens": "5", "x-ratelimit-reset-tokens": "30"}, 30),
    ],
)
def test_a_reset_is_told_only_when_it_can_be_known(headers: dict[str, str], reset: int | None) -> None:
    (tokens,) = seen(headers)
    assert (tokens.reset_after.seconds if tokens.HasField("reset_after") else None) == reset


def test_a_host_that_knows_no_limit_tells_none() -> None:
    unknown = {"x-ratelimit-limit-tokens": "-1", "x-ratelimit-remaining-tokens": "-1", "x-ratelimit-reset-tokens": "0"}
    assert seen(unknown) == []
    assert seen({"retry-after": "9"}) == []
