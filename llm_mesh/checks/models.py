"""Which models can be asked, what they cost beside one another, and which is a vendor's cheapest."""

from collections.abc import Iterable, Sequence

from llmmesh.chat.v1 import chat_pb2
from llmmesh.router.v1 import router_pb2

from catalog.money import Price, blended
from llm_mesh.cli.session import QUICK, Session
from meshkit.errors import MeshError

EMBEDDING = "embedding"
CLASSES = ("chat", "local", "reasoning")


async def fetch(way: Session, vendors: Iterable[str]) -> list[router_pb2.Model]:
    """Return the active models of these vendors, of all vendors without a name, as far as a key for them is there."""
    found: dict[str, router_pb2.Model] = {}
    for vendor in tuple(vendors) or ("",):
        request = router_pb2.ListModelsRequest(vendor=vendor)
        listed = await way.answer(way.stub.ListModels(request, timeout=QUICK, metadata=way.metadata))
        found |= {model.id: model for model in listed.models}
    return list(found.values())


def answers(model: router_pb2.Model) -> bool:
    """Tell whether a model answers prompts; the others make vectors."""
    return model.model_class != EMBEDDING


def list_price(model: router_pb2.Model) -> int | None:
    """Return the blended list price in nano-dollars per million tokens; None when it is unknown."""
    if not (model.HasField("input_price_nanos") and model.HasField("output_price_nanos")):
        return None
    into, out = model.input_price_nanos, model.output_price_nanos
    return blended(Price(input=into, output=out, cached_input=into, cache_write=into))


def cheapest_first(models: Iterable[router_pb2.Model]) -> list[router_pb2.Model]:
    """Order models by list price; of two that cost the same, the one that thinks less comes first."""
    return sorted(models, key=_expense)


async def cheapest(way: Session, models: Sequence[router_pb2.Model], prompt: chat_pb2.Prompt) -> router_pb2.Model:
    """Return the cheapest model that could serve the prompt now, else the cheapest: asking it says why it could not."""
    ordered = cheapest_first(models)
    for model in ordered:
        intent = router_pb2.Intent(model=model.id, strict=True)
        request = router_pb2.ExplainRouteRequest(intent=intent, prompt=prompt)
        try:
            plan = await way.answer(way.stub.ExplainRoute(request, timeout=QUICK, metadata=way.metadata))
        except MeshError:
            continue
        if any(offer.has_room for offer in plan.offers):
            return model
    return ordered[0]


def _expense(model: router_pb2.Model) -> tuple[float, int, str]:
    price = list_price(model)
    place = CLASSES.index(model.model_class) if model.model_class in CLASSES else len(CLASSES)
    return float("inf") if price is None else price, place, model.id
