"""One trace tells the whole story of one request: edge, router, quota, provider, vendor call, every attempt."""

import secrets

import pytest
from fixtures.acceptance import Isolated
from fixtures.mesh_callers import ANSWERED, Callers
from fixtures.one_trace import EDGE, one_trace
from fixtures.traces import Span, tree

RESERVE = "Sent.llmmesh.quota.v1.QuotaService.Apply"
SENT, RECEIVED = "Sent.llmmesh.provider.v1.ProviderService.", "Recv.llmmesh.provider.v1.ProviderService."


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_one_request_with_a_fallback_is_one_tree_with_both_attempts(
    isolated: Isolated, guarded: Callers, *, stream: bool
) -> None:
    spans = await one_trace(isolated, guarded, stream=stream)
    shown = "\n" + tree(spans)
    named = {span.name: span for span in spans}
    by_id = {span.id: span for span in spans}

    def parents(span: Span) -> list[str]:
        """Return the names above a span, the nearest first."""
        above = by_id.get(span.parent)
        return [above.name, *parents(above)] if above else []

    root = named[EDGE]
    assert [span.name for span in spans if span.parent not in by_id] == [EDGE], shown
    assert root.service == "llm-mesh-router", shown

    verb = "StreamGenerate" if stream else "Generate"
    calls = [span for span in spans if span.name.startswith("chat ")]
    assert [span.service for span in calls] == ["llm-mesh-provider-groq", "llm-mesh-provider-openai"], shown
    for call in calls:
        assert parents(call)[:3] == [RECEIVED + verb, SENT + verb, EDGE], shown
    assert [call.attributes.get("error.type") for call in calls] == ["VENDOR_OVERLOAD", None], shown
    reserves = [span for span in spans if span.name == RESERVE]
    assert len(reserves) == 2, shown
    applied = [span for span in spans if span.service.endswith("quota")]
    assert [parents(span)[0] for span in applied[:2]] == [RESERVE, RESERVE], shown
    assert {parents(span)[0] for span in applied[2:]} <= {EDGE}, shown  # the settle, off the caller's path
    begun = [span.name for span in spans if span in [*reserves, *calls]]
    assert begun == [RESERVE, calls[0].name, RESERVE, calls[1].name], shown


async def test_a_request_for_vectors_is_one_tree_whose_call_is_named_embeddings(
    isolated: Isolated, guarded: Callers
) -> None:
    trace = secrets.token_hex(16)
    body = {"model": "text-embedding-3-small", "input": [ANSWERED], "dimensions": 8}
    headers = {"traceparent": f"00-{trace}-{secrets.token_hex(8)}-01"}
    reply = await guarded.http.post("/v1/embeddings", json=body, headers=headers)
    assert reply.status_code == 200, reply.text
    name = "embeddings text-embedding-3-small"
    root = "POST /v1/embeddings"
    spans = isolated.spans.whole(bytes.fromhex(trace), lambda found: {name, root} <= {span.name for span in found})
    named = {span.name: span for span in spans}
    (call, edge), shown = (named[name], named[root]), "\n" + tree(spans)
    above, by_id = [], {span.id: span for span in spans}
    while call.parent in by_id:
        call = by_id[call.parent]
        above.append(call.name)
    assert above == [RECEIVED + "Embed", SENT + "Embed", root], shown
    attributes = named[name].attributes
    assert attributes["gen_ai.operation.name"] == "embeddings"
    assert attributes["gen_ai.request.model"] == attributes["gen_ai.response.model"] == "text-embedding-3-small"
    assert edge.attributes["llm_mesh.operation"] == "embeddings"
    assert ANSWERED not in repr(spans)


async def test_a_trace_holds_no_word_of_the_prompt_or_the_answer(isolated: Isolated, guarded: Callers) -> None:
    spans = await one_trace(isolated, guarded, stream=True)
    assert ANSWERED not in repr(spans)
