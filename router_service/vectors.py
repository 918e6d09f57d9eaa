"""Checks that the vectors of an answer are those that were asked for: who keeps them would find out too late."""

from llmmesh.provider.v1 import provider_pb2

from meshkit.errors import FieldViolation, MeshError, Reason


def checked(answer: provider_pb2.EmbedResponse, asked: provider_pb2.EmbedRequest) -> provider_pb2.EmbedResponse:
    """Return the answer when it has one vector for each text, all of one length, and of the length asked for.

    Raises:
        MeshError: VENDOR_SERVER or VENDOR_UNSUPPORTED; what the vendor counted was spent.
    """
    lengths = {len(embedding.values) for embedding in answer.embeddings}
    if len(answer.embeddings) != len(asked.texts):
        text = f"{len(answer.embeddings)} vectors came for {len(asked.texts)} texts"
        raise _failed(answer, Reason.VENDOR_SERVER, text)
    if len(lengths) != 1 or 0 in lengths:
        raise _failed(answer, Reason.VENDOR_SERVER, "the vectors are not all of one length")
    if asked.HasField("dimensions") and lengths != {asked.dimensions}:
        text = f"the vectors came with {min(lengths)} dimensions, not {asked.dimensions}"
        raise _failed(answer, Reason.VENDOR_UNSUPPORTED, text, FieldViolation("dimensions", text))
    return answer


def _failed(answer: provider_pb2.EmbedResponse, reason: Reason, text: str, *fields: FieldViolation) -> MeshError:
    failure = provider_pb2.AttemptFailure(
        sent=provider_pb2.AttemptFailure.SENT_ANSWERED, usage=answer.usage, observations=answer.observations
    )
    return MeshError(reason, text, fields=fields, details=[failure])
