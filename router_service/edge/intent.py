"""Reads what a chat-completions request is for: its model name, its `llm_mesh` object and its headers."""

from collections.abc import Mapping
from decimal import Decimal

from llmmesh.router.v1 import router_pb2

from meshkit.errors import invalid
from router_service.edge import headers as header
from router_service.edge.fields import LONGEST_NAME, Fields, meaning

USE_CASE = "use_case:"
FREE_CHOICE = ("", "auto")
MOST_USD = 1_000_000
MOST_MODELS = 15  # besides the one in `model`
TIERS: "Mapping[str, router_pb2.Tier.ValueType]" = {
    "free": router_pb2.TIER_FREE,
    "ultra_economy": router_pb2.TIER_ULTRA_ECONOMY,
    "economy": router_pb2.TIER_ECONOMY,
    "standard": router_pb2.TIER_STANDARD,
    "premium": router_pb2.TIER_PREMIUM,
}
DATA_POLICIES: "Mapping[str, router_pb2.DataPolicy.ValueType]" = {
    "local_only": router_pb2.DATA_POLICY_LOCAL_ONLY,
    "no_training": router_pb2.DATA_POLICY_NO_TRAINING,
}
# "restart" is missing: over this protocol nothing said can be taken back.
STREAM_GUARANTEES: "Mapping[str, router_pb2.StreamGuarantee.ValueType]" = {
    "fast": router_pb2.STREAM_GUARANTEE_FAST,
    "whole": router_pb2.STREAM_GUARANTEE_WHOLE,
}


def read_provider(body: Fields) -> str:
    """Return the vendor a request names by itself, whose name then is the beginning of its model's; empty for none."""
    vendor = body.name("provider")
    return "" if vendor in FREE_CHOICE else vendor


def read_intent(body: Fields, headers: Mapping[str, str]) -> router_pb2.Intent:
    """Return the intent; the `llm_mesh` object wins over the model's name, which wins over headers."""
    intent = router_pb2.Intent()
    _from_headers(intent, headers)
    _from_model(intent, body)
    extension = body.object("llm_mesh")
    if extension is not None:
        _from_extension(intent, extension)
    return intent


def _from_headers(intent: router_pb2.Intent, headers: Mapping[str, str]) -> None:
    if len(headers.get(header.USE_CASE, "")) > LONGEST_NAME:
        raise invalid(header.USE_CASE, f"must not be longer than {LONGEST_NAME} characters")
    intent.use_case = headers.get(header.USE_CASE, "")
    if header.TIER in headers:
        intent.tier = meaning(header.TIER, headers[header.TIER], TIERS)
    intent.labels.update(header.labels(headers))
    if header.STREAM_GUARANTEE in headers:
        guarantee = headers[header.STREAM_GUARANTEE]
        intent.stream_guarantee = meaning(header.STREAM_GUARANTEE, guarantee, STREAM_GUARANTEES)


def _from_model(intent: router_pb2.Intent, body: Fields) -> None:
    model, vendor = body.name("model"), read_provider(body)
    if names_a_use_case(model):
        name, _, tier = model.removeprefix(USE_CASE).partition("/")
        if not name:
            raise invalid("model", f"must name a use case after `{USE_CASE}`")
        intent.use_case = name
        if tier:
            intent.tier = meaning("model", tier, TIERS)
        model = ""
    pinned = _pin(vendor, model)
    listed = body.texts("models", MOST_MODELS, LONGEST_NAME)
    fallback = body.flag("fallback")
    if listed:
        if fallback:
            raise invalid("fallback", "has no meaning beside `models`: these are tried in their order and nothing else")
        intent.candidates.extend([pinned, *listed] if pinned else listed)
    elif fallback:
        intent.preferred_model = pinned
    else:
        intent.model = pinned


def names_a_use_case(model: str) -> bool:
    """Tell whether a name is that of a use case: no model is called by a tier's word behind one slash."""
    before, slash, tier = model.partition("/")
    return model.startswith(USE_CASE) or (bool(before and slash) and tier in TIERS)


def _pin(vendor: str, model: str) -> str:
    """Join a vendor and a model into one name; empty means free choice."""
    model = "" if model in FREE_CHOICE else model
    if not vendor or model.startswith(f"{vendor}/"):
        return model
    return f"{vendor}/{model}" if model else vendor


def _from_extension(intent: router_pb2.Intent, fields: Fields) -> None:
    intent.use_case = fields.name("use_case") or intent.use_case
    intent.tier = fields.word("tier", TIERS) or intent.tier
    intent.data_policy = fields.word("data_policy", DATA_POLICIES) or intent.data_policy
    guarantee = fields.word("stream_guarantee", STREAM_GUARANTEES)
    intent.stream_guarantee = guarantee or intent.stream_guarantee
    intent.preferred_model = fields.name("preferred_model") or intent.preferred_model
    intent.conversation_id = fields.name("conversation_id")
    intent.strict = fields.flag("strict") or False
    intent.requirements.extend(fields.texts("requirements"))
    intent.allow_vendors.extend(fields.texts("allow_vendors"))
    intent.deny_vendors.extend(fields.texts("deny_vendors"))
    intent.allow_models.extend(fields.texts("allow_models"))
    cap = fields.number("max_cost_usd", 0, MOST_USD)
    if cap is not None:
        intent.max_cost_nanos = int(Decimal(repr(cap)) * 1_000_000_000)
