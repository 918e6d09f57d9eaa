"""Says which paths the edge has and who serves them."""

from meshkit.clock import Clock
from router_service.edge.boundary import GENERATE_PATHS, OPEN_PATHS, PROCESS_PATHS
from router_service.edge.chat import Chat
from router_service.edge.embeddings import Embeddings
from router_service.edge.generate import Generate, read_conversation, read_task
from router_service.edge.health import Health
from router_service.edge.models import SWITCHES, Models
from router_service.edge.providers import Providers
from router_service.edge.routes import Parameter, Route
from router_service.edge.shapes import lists, replies, requests
from router_service.edge.shapes.mesh import PlainFailure
from router_service.edge.waits import Waits
from router_service.interface import Router

LIST_PARAMETERS = (
    Parameter("all", "query", "also models without a key and retired ones", {"enum": [*filter(None, SWITCHES)]}),
    Parameter("vendor", "query", "only this vendor, by id or alias", {"type": "string"}),
)
ONE_PARAMETERS = (
    Parameter("id", "path", "vendor/model, or the vendor's own id of it", {"type": "string", "minLength": 1}),
)


def routes(router: Router, clock: Clock, waits: Waits) -> tuple[Route, ...]:
    """Return every route but that of the document that describes them."""
    return (*_answers(router, clock, waits), *_lists(router))


def _answers(router: Router, clock: Clock, waits: Waits) -> tuple[Route, ...]:
    return (
        Route(
            "POST",
            ("/v1/chat/completions",),
            Chat(router, clock, waits).serve,
            "Answer a conversation, whole or as a stream.",
            reply=replies.Completion,
            body=requests.Chat,
            events=replies.Chunk,
        ),
        Route(
            "POST",
            ("/v1/embeddings",),
            Embeddings(router, waits).serve,
            "Turn texts into vectors.",
            reply=replies.Vectors,
            body=requests.Embed,
        ),
        Route(
            "POST",
            GENERATE_PATHS,
            Generate(router, waits, read_conversation, "content").serve,
            "Answer a conversation by use case and budget tier.",
            reply=replies.Generated,
            body=requests.Generate,
            failure=PlainFailure,
        ),
        Route(
            "POST",
            PROCESS_PATHS,
            Generate(router, waits, read_task, "result").serve,
            "Do a task.",
            reply=replies.Processed,
            body=requests.Process,
            failure=PlainFailure,
        ),
    )


def _lists(router: Router) -> tuple[Route, ...]:
    models, health = Models(router), Health(router)
    return (
        Route(
            "GET",
            ("/v1/models", "/models"),
            models.listing,
            "List models with price, limits and status.",
            reply=lists.Models,
            parameters=LIST_PARAMETERS,
        ),
        Route(
            "GET",
            ("/v1/models/{id:.+}",),
            models.one,
            "Describe one model.",
            reply=lists.Model,
            parameters=ONE_PARAMETERS,
        ),
        Route(
            "GET",
            ("/llm/providers", "/api/coordination/llm/providers"),
            Providers(router).listing,
            "List vendors with their models, or why they have none.",
            reply=lists.Providers,
        ),
        Route(
            "GET",
            OPEN_PATHS,
            health.brief,
            "Say whether the router serves.",
            reply=lists.Brief,
            replies={503: lists.Brief},
            key=False,
        ),
        Route(
            "GET",
            ("/api/health",),
            health.full,
            "Say who serves now, what is used and left, and what is broken.",
            reply=lists.Health,
        ),
    )
