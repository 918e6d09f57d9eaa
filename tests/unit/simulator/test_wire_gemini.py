"""The gemini dialect on the wire: whole, as events, as an array; thoughts, functions, embeddings, refusals."""

import json

import pytest

KEY = {"x-goog-api-key": "AIzaTest0003"}
MODELS = "/gemini/v1beta/models"
DECLARED = [{"functionDeclarations": [{"name": "add", "parameters": {"properties": {"a": {"type": "INTEGER"}}}}]}]


def body(text: str, **more):
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], **more}


@pytest.fixture
def post(http):
    async def send(model_and_verb: str, sent: dict, headers: dict | None = None):
        return await http.post(f"{MODELS}/{model_and_verb}", json=sent, headers=KEY if headers is None else headers)

    return send


def events(text: str) -> list[dict]:
    assert text.endswith("\r\n\r\n")
    return [json.loads(block.removeprefix("data: ")) for block in text.split("\r\n\r\n")[:-1]]


def spoken(chunks: list[dict], *, thought: bool = False) -> str:
    parts = [part for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"]]
    return "".join(part.get("text", "") for part in parts if part.get("thought", False) is thought)


async def test_usage_counts_thoughts_beside_the_answer_not_within_it(post):
    answer = (await post("gemini-2.5-flash:generateContent", body("say: Hello there"))).json()
    usage = answer["usageMetadata"]
    assert (usage["promptTokenCount"], usage["candidatesTokenCount"]) == (7, 2)
    assert usage["thoughtsTokenCount"] > 0
    assert usage["totalTokenCount"] == 7 + 2 + usage["thoughtsTokenCount"]
    assert answer["candidates"][0]["content"] == {"parts": [{"text": "Hello there"}], "role": "model"}
    assert answer["candidates"][0]["finishReason"] == "STOP"


async def test_thoughts_are_shown_only_when_asked_for(post):
    thinking = {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}}
    parts = (await post("gemini-2.5-flash:generateContent", body("hi", **thinking))).json()
    assert [part.get("thought") for part in parts["candidates"][0]["content"]["parts"]] == [True, None]
    none = {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}}
    usage = (await post("gemini-2.5-flash:generateContent", body("hi", **none))).json()["usageMetadata"]
    assert "thoughtsTokenCount" not in usage


async def test_every_chunk_carries_the_usage_so_far_and_nothing_marks_the_end(post):
    thinking = {"generationConfig": {"thinkingConfig": {"includeThoughts": True}}}
    response = await post("gemini-2.5-flash:streamGenerateContent?alt=sse", body("tokens: 12", **thinking))
    assert response.headers["content-type"] == "text/event-stream"
    chunks = events(response.text)
    totals = [chunk["usageMetadata"]["totalTokenCount"] for chunk in chunks]
    assert totals == [*range(7, 7 + 12), 18]
    assert len(spoken(chunks, thought=True).split()) == chunks[-1]["usageMetadata"]["thoughtsTokenCount"] == 6
    assert chunks[-1]["candidates"][0]["finishReason"] == "STOP"
    whole = (await post("gemini-2.5-flash:generateContent", body("tokens: 12"))).json()
    assert spoken(chunks) == spoken([whole])


async def test_without_alt_sse_the_stream_is_one_json_array(post):
    response = await post("gemini-2.5-flash-lite:streamGenerateContent", body("tokens: 4"))
    assert response.headers["content-type"].startswith("application/json")
    assert len(spoken(json.loads(response.text)).split()) == 4


async def test_a_function_call_is_a_whole_part_with_an_object_and_finishes_with_stop(post):
    answer = (await post("gemini-2.5-flash:generateContent", body("call add", tools=DECLARED))).json()
    part = answer["candidates"][0]["content"]["parts"][0]
    assert part["functionCall"] == {"name": "add", "args": {"a": 3}}
    assert part["thoughtSignature"]
    assert answer["candidates"][0]["finishReason"] == "STOP"
    chunks = events(
        (await post("gemini-2.5-flash-lite:streamGenerateContent?alt=sse", body("call add", tools=DECLARED))).text
    )
    assert chunks[0]["candidates"][0]["content"]["parts"][0]["functionCall"]["name"] == "add"


@pytest.mark.parametrize(("signature", "status"), [({}, 400), ({"thoughtSignature": "c2ln"}, 200)])
async def test_a_signed_model_wants_its_signature_back(post, signature, status):
    called = {"functionCall": {"name": "add", "args": {}}} | signature
    returned = {"functionResponse": {"name": "add", "response": {"sum": 5}}}
    turns = [
        {"role": "user", "parts": [{"text": "call add"}]},
        {"role": "model", "parts": [called]},
        {"role": "user", "parts": [returned]},
    ]
    answer = await post("gemini-flash-latest:generateContent", {"contents": turns, "tools": DECLARED})
    assert answer.status_code == status
    if status == 200:
        assert answer.json()["candidates"][0]["content"]["parts"][0]["text"]


async def test_thinking_counts_against_the_maximum_and_may_leave_nothing(post):
    tight = {"generationConfig": {"maxOutputTokens": 3}}
    candidate = (await post("gemini-2.5-pro:generateContent", body("hi", **tight))).json()["candidates"][0]
    assert (candidate["finishReason"], candidate["content"]) == ("MAX_TOKENS", {"role": "model"})


async def test_json_mode_follows_the_schema(post):
    form = {"responseMimeType": "application/json", "responseSchema": {"properties": {"ok": {"type": "BOOLEAN"}}}}
    answer = (await post("gemini-2.5-flash:generateContent", body("json", generationConfig=form))).json()
    assert json.loads(spoken([answer])) == {"ok": True}


async def test_embeddings_one_and_many(post):
    one = await post("gemini-embedding-2:embedContent", {"content": {"parts": [{"text": "x"}]}})
    assert len(one.json()["embedding"]["values"]) == 3072
    request = {"model": "models/gemini-embedding-2", "content": {"parts": [{"text": "x"}]}, "outputDimensionality": 4}
    many = (await post("gemini-embedding-2:batchEmbedContents", {"requests": [request, request]})).json()
    assert [len(row["values"]) for row in many["embeddings"]] == [4, 4]


async def test_models_are_listed_with_what_they_can_do(http):
    listed = (await http.get(MODELS, headers=KEY)).json()["models"]
    found = {model["name"]: model["supportedGenerationMethods"] for model in listed}
    assert "generateContent" in found["models/gemini-2.5-flash"]
    assert "embedContent" in found["models/gemini-embedding-2"]
    assert (await http.get(f"{MODELS}/gemini-2.5-pro", headers=KEY)).json()["thinking"] is True


@pytest.mark.parametrize(
    ("path", "sent", "headers", "expected"),
    [
        ("nope:generateContent", body("x"), KEY, (404, "NOT_FOUND")),
        ("nope:streamGenerateContent?alt=sse", body("x"), KEY, (404, "NOT_FOUND")),
        ("gemini-embedding-2:generateContent", body("x"), KEY, (404, "NOT_FOUND")),
        ("gemini-2.5-flash:generateContent", {"contents": []}, KEY, (400, "INVALID_ARGUMENT")),
        ("gemini-2.5-flash:generateContent", {"contents": 3}, KEY, (400, "INVALID_ARGUMENT")),
        ("gemini-2.5-flash:generateContent", body("x"), {}, (403, "PERMISSION_DENIED")),
    ],
)
async def test_a_refusal_carries_the_vendors_status_word(post, path, sent, headers, expected):
    response = await post(path, sent, headers)
    error = response.json()["error"]
    assert (response.status_code, error["status"]) == expected
    assert error["code"] == response.status_code


async def test_a_bad_key_is_an_invalid_argument_with_its_reason_in_the_details(post):
    response = await post("gemini-2.5-flash:generateContent", body("x"), {"x-goog-api-key": "AIzaRejected-rejected"})
    error = response.json()["error"]
    assert (response.status_code, error["status"]) == (400, "INVALID_ARGUMENT")
    assert error["details"][0]["reason"] == "API_KEY_INVALID"


@pytest.mark.parametrize(("per", "word"), [("minute", "PerMinute"), ("day", "PerDay")])
async def test_an_exceeded_quota_says_which_window_and_when_to_retry(sim, post, per, word):
    await sim.set_limits("gemini", [{"unit": "requests", "per": per, "amount": 1, "scope": "model"}])
    assert (await post("gemini-2.5-flash:generateContent", body("x"))).status_code == 200
    response = await post("gemini-2.5-flash:generateContent", body("x"))
    error = response.json()["error"]
    assert (response.status_code, error["status"]) == (429, "RESOURCE_EXHAUSTED")
    failure, retry = error["details"]
    assert word in failure["violations"][0]["quotaId"]
    assert failure["violations"][0]["quotaValue"] == "1"
    seconds = float(retry["retryDelay"].removesuffix("s"))
    assert 50 < seconds <= (60 if per == "minute" else 86_400)
    assert not any("ratelimit" in name or name == "retry-after" for name in response.headers)
