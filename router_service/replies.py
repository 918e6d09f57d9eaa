"""Makes the messages of an answer: its start, its pieces, its end, and what the caller should know beside it."""

from llmmesh.chat.v1 import chat_pb2
from llmmesh.provider.v1 import provider_pb2
from llmmesh.router.v1 import router_pb2

from router_service.attempt import Attempt
from router_service.demand import Demand
from router_service.journey import Journey


def notices(asked: Demand) -> list[chat_pb2.Warning]:
    """Return the warnings about what was asked for."""
    return [chat_pb2.Warning(code="retired", field="intent.model", message=notice) for notice in asked.notices]


def priced(completion: chat_pb2.Completion, attempt: Attempt, asked: Demand) -> chat_pb2.Completion:
    """Return a completion with what it used and what the caller should know."""
    completion.usage.CopyFrom(attempt.usage)
    completion.warnings.extend(notices(asked))
    return completion


def start(journey: Journey, attempt: Attempt) -> router_pb2.StreamGenerateResponse:
    """Say who begins to answer."""
    start = router_pb2.StreamGenerateResponse.Start(request_id=journey.request_id, offer=attempt.offer_text)
    return router_pb2.StreamGenerateResponse(start=start)


def deltas(told: provider_pb2.StreamGenerateResponse.Deltas) -> router_pb2.StreamGenerateResponse:
    """Pass pieces on."""
    response = router_pb2.StreamGenerateResponse()
    response.deltas.deltas.MergeFrom(told.deltas)
    return response


def finish(
    told: provider_pb2.StreamGenerateResponse.Finish, attempt: Attempt, route: router_pb2.Route, asked: Demand
) -> router_pb2.StreamGenerateResponse:
    """Say how a stream ended."""
    finish = router_pb2.StreamGenerateResponse.Finish(
        choices=told.choices,
        usage=attempt.usage,
        route=route,
        warnings=[*told.warnings, *notices(asked)],
        vendor_model=told.vendor_model,
    )
    return router_pb2.StreamGenerateResponse(finish=finish)
