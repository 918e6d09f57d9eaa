"""What a vendor's error means is told by its status and its words together, and what it closes is said."""

import json
from typing import Any

import pytest
from fixtures.prompts import reply
from llmmesh.provider.v1.provider_pb2 import Observation

from meshkit.errors import Reason
from provider_services.dialects import DIALECTS
from provider_services.dialects.interface import Subject

MODEL, ACCOUNT, SLOT = Observation.SCOPE_MODEL, Observation.SCOPE_ACCOUNT, Observation.SCOPE_SLOT
REQUESTS, TOKENS = Observation.UNIT_REQUESTS, Observation.UNIT_TOKENS


def error(message: str, code: Any = None, kind: str = "invalid_request_error", **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "code": code, **more}}


CHAT = [
    (401, error("Incorrect API key provided", "invalid_api_key"), Reason.VENDOR_AUTH),
    (400, {"code": "Client specified an invalid argument", "error": "Incorrect API key provided"}, Reason.VENDOR_AUTH),
    (401, {"detail": "Unauthorized"}, Reason.VENDOR_AUTH),
    (403, error("You are not allowed to sample from this model"), Reason.VENDOR_PERMISSION),
    (402, error("Insufficient Balance"), Reason.VENDOR_QUOTA),
    (
        404,
        error("The model `x` does not exist or you do not have access to it.", "model_not_found"),
        Reason.VENDOR_NOT_FOUND,
    ),
    (400, error("Model Not Exist"), Reason.VENDOR_NOT_FOUND),
    (400, error("The model `x` has been decommissioned", "model_decommissioned"), Reason.VENDOR_RETIRED),
    (410, error("gone"), Reason.VENDOR_RETIRED),
    (400, error("This model's maximum context length is 8 tokens", "context_length_exceeded"), Reason.VENDOR_CONTEXT),
    (400, error("Expected last role User or Tool (or Assistant with prefix True)", "3230"), Reason.VENDOR_UNSUPPORTED),
    (413, error("Request too large for model on tokens per minute (TPM)"), Reason.VENDOR_CONTEXT),
    (400, error("rejected by our safety system", "content_policy_violation"), Reason.VENDOR_CONTENT_FILTER),
    (400, error("nope", "invalid_prompt"), Reason.VENDOR_CONTENT_FILTER),
    (400, error("'messages' is empty", "empty_array"), Reason.VENDOR_BAD_REQUEST),
    (422, error("bad"), Reason.VENDOR_BAD_REQUEST),
    (429, error("Rate limit reached", "rate_limit_exceeded", "requests"), Reason.VENDOR_THROTTLED),
    (429, error("You exceeded your current quota", "insufficient_quota"), Reason.VENDOR_QUOTA),
    (429, error("Rate limit reached on requests per day (RPD): Limit 1000"), Reason.VENDOR_QUOTA),
    (429, error("Rate limit reached on tokens per day (TPD)"), Reason.VENDOR_QUOTA),
    (498, error("capacity", "capacity_exceeded"), Reason.VENDOR_OVERLOAD),
    (503, error("overloaded"), Reason.VENDOR_OVERLOAD),
    (500, "", Reason.VENDOR_SERVER),
    (502, "<html>Bad Gateway</html>", Reason.VENDOR_SERVER),
    (302, "", Reason.VENDOR_SERVER),
    (404, "Not Found", Reason.VENDOR_NOT_FOUND),
]


def google(status: int, name: str, message: str = "m", *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": status, "message": message, "status": name, "details": list(details)}}


def quota(identity: str, value: str = "5") -> dict[str, Any]:
    return {"violations": [{"quotaId": identity, "quotaValue": value}]}


PER_MINUTE, PER_DAY = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "GenerateRequestsPerDayPerProjectPerModel"
CONTENT = [
    (400, google(400, "INVALID_ARGUMENT", "x", {"reason": "API_KEY_INVALID"}), Reason.VENDOR_AUTH),
    (403, google(403, "PERMISSION_DENIED"), Reason.VENDOR_AUTH),
    (400, google(400, "FAILED_PRECONDITION", "User location is not supported"), Reason.VENDOR_PERMISSION),
    (400, google(400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum"), Reason.VENDOR_CONTEXT),
    (400, google(400, "INVALID_ARGUMENT"), Reason.VENDOR_BAD_REQUEST),
    (402, google(402, "PAYMENT"), Reason.VENDOR_QUOTA),
    (404, [google(404, "NOT_FOUND")], Reason.VENDOR_NOT_FOUND),
    (429, google(429, "RESOURCE_EXHAUSTED", "m", quota(PER_MINUTE)), Reason.VENDOR_THROTTLED),
    (429, google(429, "RESOURCE_EXHAUSTED", "m", quota(PER_DAY)), Reason.VENDOR_QUOTA),
    (429, google(429, "RESOURCE_EXHAUSTED", "m", quota(PER_MINUTE, "0")), Reason.VENDOR_QUOTA),
    (500, google(500, "INTERNAL"), Reason.VENDOR_SERVER),
    (503, google(503, "UNAVAILABLE"), Reason.VENDOR_OVERLOAD),
    (504, google(504, "DEADLINE_EXCEEDED"), Reason.VENDOR_SERVER),
    (499, google(499, "CANCELLED"), Reason.VENDOR_SERVER),
]
LOCAL = [
    (404, {"error": "model 'x' not found"}, Reason.VENDOR_NOT_FOUND),
    (400, {"error": "x does not support tools"}, Reason.VENDOR_BAD_REQUEST),
    (401, {"error": "unauthorized"}, Reason.VENDOR_AUTH),
    (403, {"error": "forbidden"}, Reason.VENDOR_AUTH),
    (429, {"error": "you have reached your usage limit"}, Reason.VENDOR_QUOTA),
    (429, {"error": "too many concurrent requests"}, Reason.VENDOR_THROTTLED),
    (500, {"error": "llama runner process has terminated"}, Reason.VENDOR_SERVER),
    (503, {"error": "server busy, please try again. maximum pending requests exceeded"}, Reason.VENDOR_OVERLOAD),
    (502, "bad gateway", Reason.VENDOR_SERVER),
]
ALL = [(d, *row) for d, rows in (("openai", CHAT), ("gemini", CONTENT), ("ollama", LOCAL)) for row in rows]


@pytest.mark.parametrize(("dialect", "status", "body", "reason"), ALL)
def test_an_error_means_what_status_and_words_say_together(
    dialect: str, status: int, body: Any, reason: Reason
) -> None:
    raw = body if isinstance(body, str) else json.dumps(body)
    fault = DIALECTS[dialect].classify(Subject("acme", "m"), reply(raw, status))
    assert fault.reason is reason
    assert fault.http_status == status
    assert fault.message
    assert fault.answered


def test_a_model_that_stumbled_over_its_own_call_may_be_asked_again() -> None:
    body = json.dumps(error("tool call validation failed", "tool_use_failed", failed_generation="x"))
    fault = DIALECTS["openai"].classify(Subject("acme", "m"), reply(body, 400))
    assert (fault.reason, fault.retryable) == (Reason.VENDOR_BAD_REQUEST, True)


def test_a_long_error_is_cut() -> None:
    fault = DIALECTS["openai"].classify(Subject("acme", "m"), reply("x" * 9999, 500))
    assert len(fault.message) <= 501


@pytest.mark.parametrize(
    ("quirks", "status", "message", "headers", "closed"),
    [
        ([], 429, "slow down", {"retry_after": "7"}, (ACCOUNT, "", 7.0)),
        (["limits_per_model"], 429, "slow down", {"retry_after": "7"}, (MODEL, "m", 7.0)),
        ([], 429, "Please try again in 2m59.5s.", {}, (ACCOUNT, "", 179.5)),
        ([], 429, "slow down", {}, (ACCOUNT, "", 5.0)),
        ([], 429, "requests per day", {}, (ACCOUNT, "", 300.0)),
        # Limits may count each model apart; money is the account's.
        (["limits_per_model"], 429, "requests per day, see /settings/billing", {}, (MODEL, "m", 300.0)),
        (["limits_per_model"], 429, "insufficient_quota", {}, (ACCOUNT, "", 300.0)),
        (["limits_per_model"], 402, "no", {}, (ACCOUNT, "", 300.0)),
        ([], 401, "no", {}, (SLOT, "", 300.0)),
        ([], 400, "no", {"retry_after": "7"}, None),
        ([], 503, "no", {"retry_after": "7"}, None),
    ],
)
def test_an_error_closes_what_it_speaks_of_for_as_long_as_it_says(
    quirks: list[str], status: int, message: str, headers: dict[str, str], closed: Any
) -> None:
    subject = Subject("acme", "m", frozenset(quirks))
    fault = DIALECTS["openai"].classify(subject, reply(json.dumps(error(message)), status, **headers))
    seen = [(o.scope, o.model, o.closed_for.seconds + o.closed_for.nanos / 1e9) for o in fault.observations]
    assert seen == ([closed] if closed else [])


def test_a_daily_quota_is_closed_to_the_reset_whatever_delay_the_vendor_suggests() -> None:
    body = google(429, "RESOURCE_EXHAUSTED", "m", quota(PER_DAY, "20"), {"retryDelay": "38.2s"})
    answer = reply(json.dumps(body), 429, date="Fri, 20 Nov 2026 20:00:00 GMT")
    fault = DIALECTS["gemini"].classify(Subject("acme", "m"), answer)
    assert fault.retry_after == 12 * 3600
    counted, closed = fault.observations
    assert (counted.unit, counted.window, counted.limit, counted.remaining) == (REQUESTS, "day", 20, 0)
    assert (counted.scope, counted.model) == (MODEL, "m")
    assert (closed.scope, closed.model, closed.closed_for.seconds) == (MODEL, "m", 12 * 3600)


def test_a_quota_of_tokens_a_minute_is_told_apart() -> None:
    body = google(429, "RESOURCE_EXHAUSTED", "m", quota("InputTokensPerMinute", "1000"), {"retryDelay": "48s"})
    fault = DIALECTS["gemini"].classify(Subject("acme", "m"), reply(json.dumps(body), 429))
    assert fault.reason is Reason.VENDOR_THROTTLED
    assert (fault.observations[0].unit, fault.observations[0].window) == (TOKENS, "minute")
    assert fault.observations[1].closed_for.seconds == 48


HEADERS = {
    "x-ratelimit-limit-requests": "1000",
    "x-ratelimit-remaining-requests": "999",
    "x-ratelimit-reset-requests": "1m26.4s",
    "x-ratelimit-limit-tokens": "8000",
    "x-ratelimit-remaining-tokens": "0",
    "x-ratelimit-reset-tokens": "17ms",
}


def test_rate_headers_are_read_with_the_window_and_scope_the_vendor_means() -> None:
    plain = DIALECTS["openai"].observe(Subject("acme", "m"), HEADERS)
    assert [(o.unit, o.window, o.scope, o.limit, o.remaining) for o in plain] == [
        (REQUESTS, "minute", ACCOUNT, 1000, 999),
        (TOKENS, "minute", ACCOUNT, 8000, 0),
    ]
    assert plain[1].HasField("remaining")
    assert (plain[0].reset_after.seconds, plain[1].reset_after.nanos) == (86, 17_000_000)
    daily = DIALECTS["openai"].observe(
        Subject("acme", "m", frozenset({"requests_window_day", "limits_per_model"})), HEADERS
    )
    assert [(o.window, o.scope, o.model) for o in daily] == [("day", MODEL, "m"), ("minute", MODEL, "m")]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-ratelimit-limit-requests": "many"},
        {"x-ratelimit-limit-requests": "9223372036854767616"},
        {"x-ratelimit-limit-requests": "-1", "x-ratelimit-remaining-requests": ""},
    ],
)
def test_headers_that_say_nothing_usable_are_no_observation(headers: dict[str, str]) -> None:
    assert DIALECTS["openai"].observe(Subject("acme", "m"), headers) == []
