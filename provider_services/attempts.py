"""Makes one attempt at a time at one vendor: the dialect's words over the upstream's wire, every fault explained."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from llmmesh.chat.v1.chat_pb2 import Completion, Delta
from llmmesh.provider.v1.provider_pb2 import (
    DescribeResponse,
    EmbedResponse,
    GenerateResponse,
    Observation,
    StreamGenerateResponse,
)

from meshkit.errors import MeshError
from provider_services import failures, gathering
from provider_services.dialects.interface import (
    Call,
    Dialect,
    EmbedCall,
    Fault,
    Finish,
    HttpReply,
    HttpRequest,
    StreamDecoder,
    Subject,
    VendorFault,
)
from provider_services.measures import EMBEDDINGS, Measured, Measures
from provider_services.slots import Line
from provider_services.upstream import WHOLE_CAP, Response
from provider_services.watch import Patience

Decoded = TypeVar("Decoded")
ERROR_CAP = 1_000_000  # bytes of an error answer; nobody explains himself longer
VECTORS_CAP = 48 * 1024 * 1024  # 2,048 vectors of 3,072 numbers as base64, or half as many numbers as text


class Attempts:
    """Attempts at one vendor.

    Args:
        dialect: the vendor's wire format.
        measures: what counts and times the attempts.
        label: turns a model id into one that may be a metric's label.
    """

    def __init__(self, dialect: Dialect, measures: Measures, label: Callable[[str], str]) -> None:
        self._dialect = dialect
        self._measures = measures
        self._label = label

    async def generate(self, line: Line, call: Call, patience: Patience) -> GenerateResponse:
        """Generate a whole completion; every MeshError it raises carries an AttemptFailure."""
        if gathering.STREAMS in call.quirks and call.reasons is not False:
            return await gathering.whole(self.stream(line, replace(call, stream=True), patience))
        with self._measures.call("chat", self._label(call.model)) as measured:
            request = _unsent(lambda: self._dialect.encode(call))
            reply, seen = await self._exchange(line, call, request, patience)
            completion = _answered(line, lambda: self._dialect.decode(call, reply), seen)
            completion.warnings.extend(request.warnings)
            _used(measured, completion)
            return GenerateResponse(completion=completion, observations=seen)

    async def embed(self, line: Line, call: EmbedCall, patience: Patience) -> EmbedResponse:
        """Turn texts into vectors; every MeshError it raises carries an AttemptFailure."""
        asked = {"gen_ai.embeddings.dimension.count": call.dimensions} if call.dimensions else None
        with self._measures.call(EMBEDDINGS, self._label(call.model), asked) as measured:
            request = _unsent(lambda: self._dialect.encode_embed(call))
            reply, seen = await self._exchange(line, call, request, patience, VECTORS_CAP)
            response = _answered(line, lambda: self._dialect.decode_embed(call, reply), seen)
            response.warnings.extend(request.warnings)
            response.observations.extend(seen)
            measured.used(response.usage, model=response.vendor_model)
            return response

    async def models(self, line: Line, subject: Subject, patience: Patience) -> list[DescribeResponse.DiscoveredModel]:
        """List the vendor's models; raises MeshError."""
        reply, seen = await self._exchange(line, subject, self._dialect.encode_models(subject), patience)
        return _answered(line, lambda: self._dialect.decode_models(reply), seen)

    async def prove(self, line: Line, subject: Subject, patience: Patience) -> None:
        """Have the key accepted, by the list of models or, where that is open to all, by a path of the row.

        Raises:
            MeshError: the vendor refuses the key, or does not answer.
        """
        path = subject.paths.get("check")
        if path is None:
            await self.models(line, subject, patience)
        else:
            await self._exchange(line, subject, HttpRequest("GET", path), patience)

    async def stream(self, line: Line, call: Call, patience: Patience) -> AsyncIterator[StreamGenerateResponse]:
        """Generate piece by piece; pieces that arrived together travel together."""
        with self._measures.call("chat", self._label(call.model)) as measured:
            request = _unsent(lambda: self._dialect.encode(call))
            decoder = self._dialect.stream(call)
            try:
                async with line.upstream.open(request, line.key, patience) as response:
                    await self._refuse(line, call, response)
                    async for deltas in _deltas(response, decoder, measured):
                        yield deltas
                    seen = self._dialect.observe(call, response.headers)
                    finish = decoder.finish()
                    if finish.deltas:
                        yield _pieces(finish.deltas)
            except VendorFault as broken:
                raise _broken(line, broken.fault, decoder) from None
            except MeshError as error:
                raise failures.with_usage(error, decoder.partial_usage()) from None
            measured.used(finish.usage, finish.vendor_response_id, finish.vendor_model)
            yield _finish(finish, request, seen)

    async def _exchange(
        self, line: Line, subject: Subject, request: HttpRequest, patience: Patience, cap: int = WHOLE_CAP
    ) -> tuple[HttpReply, list[Observation]]:
        async with line.upstream.open(request, line.key, patience) as response:
            await self._refuse(line, subject, response)
            reply = HttpReply(response.status, response.headers, await response.read(cap))
        return reply, self._dialect.observe(subject, reply.headers)

    async def _refuse(self, line: Line, subject: Subject, response: Response) -> None:
        """Raise the error of an answer that is no success; a redirect is none."""
        if 200 <= response.status < 300:
            return
        reply = HttpReply(response.status, response.headers, await response.read(ERROR_CAP))
        seen = self._dialect.observe(subject, reply.headers)
        raise _explained(line, self._dialect.classify(subject, reply), seen)


async def _deltas(
    response: Response, decoder: StreamDecoder, measured: Measured
) -> AsyncIterator[StreamGenerateResponse]:
    async for chunk in response.chunks():
        if deltas := decoder.feed(chunk):
            response.progress()
            measured.content()
            yield _pieces(deltas)
            decoder.feed(b"")  # a fault behind these pieces is told now, not with the vendor's next bytes


def _pieces(deltas: Sequence[Delta]) -> StreamGenerateResponse:
    return StreamGenerateResponse(deltas=StreamGenerateResponse.Deltas(deltas=deltas))


def _unsent(encode: Callable[[], HttpRequest]) -> HttpRequest:
    try:
        return encode()
    except MeshError as error:
        raise failures.unsent(error) from None


def _answered(line: Line, decode: Callable[[], Decoded], seen: Sequence[Observation]) -> Decoded:
    try:
        return decode()
    except VendorFault as broken:
        raise _explained(line, broken.fault, seen) from None


def _explained(line: Line, fault: Fault, seen: Sequence[Observation]) -> MeshError:
    error = failures.explained(fault, failures.ANSWERED if fault.answered else failures.UNKNOWN, observations=seen)
    error.message = line.scrub(error.message)
    return error


def _broken(line: Line, fault: Fault, decoder: StreamDecoder) -> MeshError:
    """Explain a fault inside a stream: once pieces have come, more may have been spent than anyone says."""
    partial = decoder.partial_usage()
    sent = failures.ANSWERED if fault.answered and not partial.output_tokens else failures.UNKNOWN
    error = failures.explained(fault, sent, usage=partial)
    error.message = line.scrub(error.message)
    return error


def _used(measured: Measured, completion: Completion) -> None:
    measured.used(completion.usage, completion.vendor_response_id, completion.vendor_model)


def _finish(finish: Finish, request: HttpRequest, seen: Sequence[Observation]) -> StreamGenerateResponse:
    return StreamGenerateResponse(
        finish=StreamGenerateResponse.Finish(
            choices=finish.choices,
            usage=finish.usage,
            vendor_response_id=finish.vendor_response_id,
            vendor_model=finish.vendor_model,
            warnings=[*request.warnings, *finish.warnings],
            observations=seen,
        )
    )
