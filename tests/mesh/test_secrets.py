"""Prompts, answers and keys are nowhere: not in logs, metrics or the ledger, on success and on every failing path."""

import asyncio
from typing import Any

import grpc
import pytest
from fixtures.acceptance import Isolated
from fixtures.mesh_callers import ANSWERED, ASKED, Callers, listen, prompt, refusal
from fixtures.unseen import key_of, made_up_keys, where_found
from fixtures.up_program import environment_of
from llmmesh.router.v1 import router_pb2

ASKING = f"say: {ANSWERED} {ASKED}"
# A vendor's own error may repeat what it was sent: the prompt, and even the key.
TOLD = f"bad request: {ASKED} {ANSWERED} with {key_of('openai')}"
LEAKY = {"error": {"message": TOLD, "type": "server_error", "code": None, "param": None}}
FAULTS: list[dict[str, Any]] = [
    {"kind": "status", "status": 500, "body": LEAKY},
    {"kind": "status", "status": 400, "body": LEAKY},
    {"kind": "cut", "after_tokens": 1},
    {"kind": "malformed", "after_tokens": 1},
    {"kind": "error_in_stream", "status": 500, "body": LEAKY, "after_tokens": 1},
    {"kind": "refuse"},
    {"kind": "status", "status": 429, "body": LEAKY, "headers": {"retry-after": "1"}},
]


async def visited(callers: Callers) -> None:
    """Send marked requests down every path there is."""
    everyone = ("openai/gpt-4o-mini", "groq/openai/gpt-oss-120b", "gemini/gemini-2.5-flash", "ollama/llama3.1:8b")
    for model in everyone:
        assert ANSWERED in (await callers.generate(ASKING, model=model)).completion.choices[0].parts[-1].text.text
        await listen(callers.stream(ASKING, model=model))
    for fault in FAULTS:
        for ask in (callers.stream, callers.generate):
            await callers.simulator.set_faults("openai", [{**fault, "times": 1, "model": "gpt-5.6-sol"}])
            await outcome(ask(ASKING, use_case="leaky"))
            await callers.generate("tokens: 1", use_case="plain")  # so that no breaker opens
    for body in ({"model": ASKED}, {"model": f"use_case:{ASKED}"}, {"n": ANSWERED}, {ASKED: ANSWERED}):
        asked = {"messages": [{"role": "user", "content": ASKING}], **body}
        await callers.http.post("/v1/chat/completions", json=asked)
    await callers.http.post("/v1/chat/completions", content=f'{{"messages": "{ASKED}'.encode())
    await callers.http.get(f"/v1/models/{ASKED}")
    await refusal(callers.generate(ASKING, use_case=ASKED))
    request = router_pb2.GenerateRequest(request_id=f"{ASKED} {ANSWERED}", prompt=prompt(ASKING))
    await refusal(callers.router.Generate(request, timeout=5))
    with pytest.raises(grpc.aio.AioRpcError):
        await callers.generate(ASKING, use_case="plain", timeout=0.001)


async def outcome(call: Any) -> None:
    """Await a call to its end, whatever that is; not even its caller is told a key."""
    try:
        error = (await listen(call))[1] if hasattr(call, "__aiter__") else await call
    except grpc.aio.AioRpcError as refused:
        error = f"{refused} {refused.trailing_metadata()}"
    assert [key for key in made_up_keys() if key in str(error)] == []


async def test_a_marked_prompt_its_answer_and_the_keys_are_found_nowhere_after_a_run(callers: Callers) -> None:
    await visited(callers)
    await callers.settled()
    words = [ASKED, ANSWERED, *made_up_keys()]
    pages = await asyncio.gather(*(callers.http.get(f"{admin}/metrics") for admin in callers.mesh.admin.values()))
    for page in pages:
        assert page.status_code == 200
        assert [word for word in words if word in page.text] == []
    assert where_found(words, callers.mesh.directory) == []
    assert callers.mesh.ledger.exists()
    assert callers.mesh.log("router").count('"event":"request"') > 20


async def test_what_must_be_found_nowhere_would_be_found(callers: Callers) -> None:
    planted = callers.mesh.directory / "planted"
    planted.write_text(f"... {ASKED} ...")
    try:
        assert where_found([ASKED, ANSWERED], callers.mesh.directory) == [f"{planted}: {ASKED}"]
    finally:
        planted.unlink()


@pytest.mark.usefixtures("guarded")  # which waits for a process that another test has killed
async def test_every_process_knows_the_keys_of_its_own_vendors_and_no_others(isolated: Isolated) -> None:
    keys = set(made_up_keys())
    for name in isolated.mesh.names:
        known = set(environment_of(isolated.mesh.pid(name)).values())
        assert len(keys & known) == (name.startswith("provider-") and name != "provider-ollama"), name
        assert (isolated.key in known) == (name in ("router", "quota")), name
