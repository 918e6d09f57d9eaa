"""Reads requests by use case and tier, and writes the plain object that answers: text, who served, what it cost."""

from llmmesh.chat.v1 import chat_pb2
from llmmesh.router.v1 import router_pb2

from meshkit.errors import MeshError, Reason, invalid
from router_service.edge import extension
from router_service.edge.exchange import Exchange
from router_service.edge.fields import Fields
from router_service.edge.intent import TIERS
from router_service.edge.openai_request import ChatRequest, chat_of
from router_service.edge.shapes.replies import PlainCourse

INTENT = "intent."  # where the router's contract has what is a field of the body here


def read(body: Fields, exchange: Exchange) -> ChatRequest:
    """Read `use_case`, `budget_tier`, and what else a chat completion takes that fits the reply.

    Raises:
        MeshError: INVALID_REQUEST naming the field and what is allowed.
    """
    use_case, tier = body.name("use_case"), body.word("budget_tier", TIERS)
    asked = chat_of(body, exchange.headers, exchange.request_id)
    asked.intent.use_case = use_case or asked.intent.use_case
    asked.intent.tier = tier or asked.intent.tier
    sampling = asked.prompt.sampling
    # What the plain reply has no place for is refused, for it would be paid and lost.
    unfit = {
        "stream": asked.stream,
        "functions" if asked.functions else "tools": bool(asked.prompt.tools),
        "n": sampling.n > 1,
        "logprobs": sampling.top_logprobs > 0,
    }
    for key, wanted in unfit.items():
        if wanted:
            raise invalid(key, "is not offered here; POST /v1/chat/completions has it")
    return asked


def refusal(error: MeshError) -> MeshError:
    """Say an error in the words of the body: a use case is a field of it like any other."""
    if error.reason is Reason.UNKNOWN_USE_CASE:
        return invalid("use_case", error.message)
    if error.reason is Reason.INVALID_REQUEST and error.fields:
        return invalid(error.fields[0].field.removeprefix(INTENT), error.fields[0].description)
    return error


def text(response: router_pb2.GenerateResponse) -> str:
    """Return what the model said."""
    parts = [part for choice in response.completion.choices[:1] for part in choice.parts]
    return "".join(part.text.text or part.refusal.text for part in parts)


def course(
    response: router_pb2.GenerateResponse, dropped: tuple[chat_pb2.Warning, ...], latency_ms: int
) -> PlainCourse:
    """Write how it was served.

    Args:
        response: what the router answered.
        dropped: what the edge itself left out.
        latency_ms: how long the caller waited.
    """
    answer, route, usage = response.completion, response.route, response.completion.usage
    return {
        "provider": route.vendor_reply_name,
        "model": route.model_reply_name,
        "use_case": route.use_case,
        "tokens_used": usage.input_tokens + usage.output_tokens,
        "cost": extension.usd(usage.cost_nanos),
        "latency_ms": latency_ms,
        "fallback_used": route.fallback_used,
        "primary_error": route.primary_error or None,
        "usage": extension.usage_of(usage),
        "llm_mesh": extension.describe(route, usage, (*dropped, *answer.warnings)),
    }
