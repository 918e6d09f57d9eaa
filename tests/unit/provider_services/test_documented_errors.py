"""Errors as the vendors document them, read with the vendors' rows: above all those of whom little is recorded."""

import json
from typing import Any

import pytest

from llm_mesh.conformance import rows
from provider_services.dialects import DIALECTS
from provider_services.dialects.interface import HttpReply
from provider_services.subjects import Subjects

Error = dict[str, Any]


def error(message: str = "", **more: Any) -> Error:
    return {"error": {"message": message, **more}}


# name in the recordings, status, body, what it means; the sources are beside the rows.
DOCUMENTED: tuple[tuple[str, int, Error, str], ...] = (
    ("ai21", 401, {"detail": "Forbidden: Bad or missing API token."}, "auth"),
    ("ai21", 403, {"detail": "Forbidden"}, "auth"),
    ("ai21", 422, {"detail": [{"loc": ["body", "messages"], "msg": "field required"}]}, "bad_request"),
    ("ai21", 429, {"detail": "Too many requests"}, "throttled"),
    ("ai21", 402, {"detail": "Payment required"}, "quota"),
    ("deepinfra", 401, {"detail": {"error": "User is not authenticated"}}, "auth"),
    ("deepinfra", 403, {"detail": {"error": "Invalid token"}}, "auth"),
    ("deepinfra", 404, {"detail": {"error": "Model is not available"}}, "not_found"),
    ("deepinfra", 402, {"detail": {"error": "Balance exhausted"}}, "quota"),
    ("deepinfra", 429, {"detail": {"error": "Model busy, retry later"}}, "throttled"),
    ("deepinfra", 500, {"detail": {"error": "Internal"}}, "server"),
    ("github_models", 410, error("GitHub Models is retired", code="gone"), "retired"),
    ("github_models", 401, error("Bad credentials", code="unauthorized"), "auth"),
    ("github_models", 429, error("Rate limit of 50 per 86400s exceeded for UserByModelByDay.", code="x"), "quota"),
    ("github_models", 429, error("Rate limit of 10 per 60s exceeded for UserByModelByMinute.", code="x"), "throttled"),
    ("github_models", 413, error("Request body too large", code="tokens_limit_reached"), "context"),
    ("moonshot", 401, error("Invalid Authentication", type="invalid_authentication_error"), "auth"),
    ("moonshot", 403, error("Insufficient balance", type="permission_denied"), "quota"),
    ("moonshot", 403, error("Not allowed", type="permission_denied"), "permission"),
    ("moonshot", 404, error("Not found the model", type="resource_not_found_error"), "not_found"),
    ("moonshot", 400, error("exceeded model token limit: 8192", type="invalid_request_error"), "context"),
    ("moonshot", 400, error("rejected as high risk", type="content_filter"), "content_filter"),
    ("moonshot", 429, error("The engine is currently overloaded", type="engine_overloaded_error"), "overload"),
    ("moonshot", 429, error("max RPM: 3", type="rate_limit_reached_error"), "throttled"),
    ("moonshot", 429, error("check your plan", type="exceeded_current_quota_error"), "quota"),
    ("zhipu", 401, error("token expired", code="1001"), "auth"),
    ("zhipu", 429, error("insufficient balance", code="1113"), "quota"),
    ("zhipu", 400, error("model does not exist", code="1211"), "not_found"),
    ("zhipu", 400, error("prompt exceeds max length", code="1261"), "context"),
    ("zhipu", 400, error("unsafe content", code="1301"), "content_filter"),
    ("zhipu", 429, error("high concurrency", code="1302"), "throttled"),
    ("zhipu", 429, error("overloaded", code="1305"), "overload"),
    ("zhipu", 429, error("usage limit reached, resets 2026-01-01", code="1308"), "quota"),
    ("zhipu", 400, error("parameter 1113 is odd", code="1214"), "bad_request"),
    ("qwen_dashscope", 403, error("free tier only", code="AllocationQuota.FreeTierOnly"), "quota"),
    ("qwen_dashscope", 400, error("overdue", code="Arrearage"), "quota"),
    ("qwen_dashscope", 429, error("tokens per minute", code="insufficient_quota"), "throttled"),
    ("qwen_dashscope", 429, error("rate", code="limit_requests"), "throttled"),
    ("qwen_dashscope", 400, error("Range of input length should be [1, 6000]", code="InvalidParameter"), "context"),
    ("qwen_dashscope", 400, error("inspection", code="data_inspection_failed"), "content_filter"),
    ("qwen_dashscope", 404, error("no such model", code="model_not_found"), "not_found"),
    ("mistral", 429, {"object": "error", "message": "busy", "code": "3505"}, "overload"),
    ("mistral", 429, {"object": "error", "message": "Rate limit exceeded", "code": "1300"}, "throttled"),
    (
        "mistral",
        400,
        {"object": "error", "message": "Invalid model: x", "type": "invalid_model", "code": "1500"},
        "not_found",
    ),
    ("mistral", 422, {"detail": [{"loc": ["body"], "msg": "extra fields"}]}, "bad_request"),
    ("xai", 400, {"code": "invalid-argument", "error": "Incorrect API key provided: x"}, "auth"),
    ("xai", 429, {"code": "x", "error": "Your team has used all available credits"}, "quota"),
    ("xai", 403, {"code": "x", "error": "Content violates usage guidelines"}, "permission"),
    ("deepseek", 402, error("Insufficient Balance", type="unknown_error"), "quota"),
    ("deepseek", 400, error("Content Exists Risk", type="invalid_request_error"), "content_filter"),
    ("openrouter", 402, error("can only afford 100", code=402), "quota"),
    ("openrouter", 403, error("flagged", code=403, metadata={"reasons": ["x"]}), "content_filter"),
    ("openrouter", 429, error("Rate limit exceeded: free-models-per-day", code=429), "quota"),
    ("openrouter", 502, error("upstream", code=502), "overload"),
    ("openrouter", 400, error("Provider returned error", metadata={"raw": "maximum context length is 8"}), "context"),
    ("huggingface", 400, error("no provider", code="model_not_supported"), "not_found"),
    ("huggingface", 402, {"error": "You have exceeded your monthly included credits"}, "quota"),
    ("huggingface", 503, {"error": "Service Unavailable"}, "server"),
    ("perplexity", 403, error("Sonar is now the Agent API. Use /v1/responses", code=403), "retired"),
    ("perplexity", 401, error("Out of credits", code=401), "quota"),
    ("perplexity", 401, error("Invalid API key", code=401), "auth"),
    ("azure_openai", 404, error("none", code="DeploymentNotFound"), "not_found"),
    ("azure_openai", 429, error("currently experiencing high demand", code="429"), "overload"),
    (
        "azure_openai",
        400,
        error("filtered", code="x", innererror={"code": "ResponsibleAIPolicyViolation"}),
        "content_filter",
    ),
)


@pytest.mark.parametrize(("name", "status", "body", "meaning"), DOCUMENTED)
def test_an_error_means_what_its_vendor_documents(name: str, status: int, body: Error, meaning: str) -> None:
    subject = Subjects(rows.vendor_of(name, "openai_chat", "openai")).subject()
    fault = DIALECTS["openai"].classify(subject, HttpReply(status, {}, json.dumps(body).encode()))
    assert fault.reason == f"VENDOR_{meaning.upper()}"
    assert fault.message
