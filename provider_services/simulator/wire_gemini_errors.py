"""Holds the errors of the gemini dialect in its own words."""

from typing import Any

from provider_services.simulator.rows import ErrorRow

TYPES = "type.googleapis.com/google.rpc."


def _error(status: int, name: str, message: str, details: list[dict[str, Any]] | None = None) -> ErrorRow:
    error: dict[str, Any] = {"code": "{status}", "message": message, "status": name}
    return ErrorRow(status=status, body={"error": error | ({"details": details} if details else {})})


_BAD_KEY = "API key not valid. Please pass a valid API key."
_OVER = "You exceeded your current quota. \n* Quota exceeded for metric: {metric}, limit: {limit}, model: {model}"
_VIOLATION = {
    "quotaMetric": "{metric}",
    "quotaId": "{quota_id}",
    "quotaDimensions": {"model": "{model}", "location": "global"},
    "quotaValue": "{quota_value}",
}
_DENIED = _error(
    429,
    "RESOURCE_EXHAUSTED",
    _OVER + "\nPlease retry in {retry_s}s.",
    [
        {"@type": TYPES + "QuotaFailure", "violations": [_VIOLATION]},
        {"@type": TYPES + "RetryInfo", "retryDelay": "{retry_s}s"},
    ],
)
ERRORS: dict[str, ErrorRow] = {
    "missing_key": _error(
        403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers. Please use API Key to call this API."
    ),
    "bad_key": _error(
        400,
        "INVALID_ARGUMENT",
        _BAD_KEY,
        [
            {
                "@type": TYPES + "ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
                "metadata": {"service": "{service}"},
            },
            {"@type": TYPES + "LocalizedMessage", "locale": "en-US", "message": _BAD_KEY},
        ],
    ),
    "unknown_model": _error(
        404,
        "NOT_FOUND",
        "models/{model} is not found for API version v1beta, or is not supported for {method}. Call ListModels to"
        " see the list of available models and their supported methods.",
    ),
    "retired_model": _error(
        404,
        "NOT_FOUND",
        "This model models/{model} is no longer available. Please update your code to use a newer model.",
    ),
    "unknown_path": _error(404, "NOT_FOUND", "Method not found: {method} {path}"),
    "ended": _error(410, "FAILED_PRECONDITION", "This API has been retired."),
    "out_of_credit": _error(
        429,
        "RESOURCE_EXHAUSTED",
        "Your prepayment credits are depleted. Please go to AI Studio to manage your project and billing.",
    ),
    # A prompt that is blocked gets a success without a candidate.
    "filtered": ErrorRow(
        status=200,
        body={
            "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"},
            "usageMetadata": {"promptTokenCount": 8, "totalTokenCount": 8},
        },
    ),
    "overloaded": _error(503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    "bad_request": _error(400, "INVALID_ARGUMENT", "{message}"),
    "context": _error(
        400,
        "INVALID_ARGUMENT",
        "The input token count ({tokens}) exceeds the maximum number of tokens allowed ({context}).",
    ),
    "limited": _DENIED,
    "too_large": _DENIED,
    "server": _error(500, "{reason}", "The service failed to answer. Please retry."),
}
