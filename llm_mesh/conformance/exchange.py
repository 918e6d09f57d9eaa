"""Sends one recorded answer through a provider service, over gRPC, and returns what came out."""

from __future__ import annotations

import grpc
from google.protobuf.duration_pb2 import Duration
from llmmesh.chat.v1 import chat_pb2
from llmmesh.provider.v1 import provider_pb2, provider_pb2_grpc

from llm_mesh.conformance.gathering import Gathering
from llm_mesh.conformance.outcome import Outcome
from llm_mesh.conformance.records import Record
from meshkit import status

TIMEOUT = 30.0
EMBEDDINGS = "embeddings"
QUESTION = chat_pb2.Message(role=chat_pb2.ROLE_USER, parts=[chat_pb2.Part(text=chat_pb2.Text(text="Go on."))])


async def play(stub: provider_pb2_grpc.ProviderServiceAsyncStub, record: Record) -> Outcome:
    """Ask the service something; the vendor behind it answers with the record."""
    gathering = Gathering()
    try:
        if record.dialect == EMBEDDINGS:
            return await _embed(stub, record, gathering)
        if record.streamed:
            return await _stream(stub, record, gathering)
        return await _generate(stub, record, gathering)
    except grpc.aio.AioRpcError as error:
        return gathering.fail(status.from_rpc_error(error))


async def _generate(stub: provider_pb2_grpc.ProviderServiceAsyncStub, record: Record, gathering: Gathering) -> Outcome:
    request = provider_pb2.GenerateRequest(target=_target(record), prompt=chat_pb2.Prompt(messages=[QUESTION]))
    completion = (await stub.Generate(request, timeout=TIMEOUT)).completion
    first = next((choice for choice in completion.choices if not choice.index), chat_pb2.Choice())
    gathering.parts(first.parts)
    return gathering.end(first.finish_reason, completion.usage, completion.warnings)


async def _stream(stub: provider_pb2_grpc.ProviderServiceAsyncStub, record: Record, gathering: Gathering) -> Outcome:
    request = provider_pb2.StreamGenerateRequest(target=_target(record), prompt=chat_pb2.Prompt(messages=[QUESTION]))
    end = provider_pb2.StreamGenerateResponse.Finish()
    async for event in stub.StreamGenerate(request, timeout=TIMEOUT):
        gathering.deltas(event.deltas.deltas)
        if event.HasField("finish"):
            end = event.finish
    first = next((choice.reason for choice in end.choices if not choice.choice_index), 0)
    return gathering.end(chat_pb2.FinishReason.ValueType(first), end.usage, end.warnings)


async def _embed(stub: provider_pb2_grpc.ProviderServiceAsyncStub, record: Record, gathering: Gathering) -> Outcome:
    request = provider_pb2.EmbedRequest(target=_target(record), texts=["Go on."])
    response = await stub.Embed(request, timeout=TIMEOUT)
    return gathering.end(chat_pb2.FINISH_REASON_UNSPECIFIED, response.usage, ())


def _target(record: Record) -> provider_pb2.Target:
    patience = Duration(seconds=int(TIMEOUT))
    return provider_pb2.Target(model=record.model, first_token_timeout=patience, idle_timeout=patience)
