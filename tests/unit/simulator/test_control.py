"""The control interface changes vendors at run time and says why it does not follow a bad order."""

import pytest


@pytest.mark.parametrize(
    ("what", "sent", "reason"),
    [
        ("limits", b"[{", "truncated"),
        ("limits", b'[{"unit":"apples","amount":1}]', "unit"),
        ("limits", b'[{"unit":"requests"}]', "amount"),
        ("limits", b'[{"unit":"requests","amount":-1}]', "negative"),
        ("limits", b'[{"unit":"requests","amount":1,"per":"week"}]', "week"),
        ("limits", b'[{"unit":"requests","amount":1,"scop":"model"}]', "scop"),
        ("limits", b'{"unit":"requests","amount":1}', "array"),
        ("faults", b"null", "array"),
        ("faults", b'[{"kind":"earthquake"}]', "earthquake"),
        ("faults", b'[{"kind":"status"}]', "status"),
        ("faults", b'[{"kind":"status","status":200}]', "status"),
        ("faults", b'[{"kind":"cut","after_tokens":-1}]', "negative"),
        ("faults", b'[{"kind":"cut","times":0}]', "times"),
        ("faults", b'[{"kind":"cut","probability":1.5}]', "probability"),
        ("faults", b'[{"kind":"slow_first_token"}]', "seconds"),
        ("faults", b'[{"kind":"cut","colour":"red"}]', "colour"),
        ("faults", b'[{"kind":"status","says":"rubbish"}]', "overloaded"),
        ("faults", b'[{"kind":"cut","says":"overloaded"}]', "says belongs to"),
        ("faults", b'[{"kind":"finish"}]', "filter or abort"),
        ("faults", b'[{"kind":"cut","finish":"abort"}]', "filter or abort"),
        ("standing", b'{"rejected":true}', "array"),
        ("standing", b'{"bankrupt":["*"]}', "bankrupt"),
        ("latency", b'{"first_token_ms":-5}', "negative"),
        ("latency", b'{"first_token_ms":"soon"}', "first_token_ms"),
    ],
)
async def test_a_bad_order_is_a_400_with_its_reason_and_changes_nothing(sim, http, what, sent, reason):
    before = await sim.state("openai")
    reply = await http.put(f"/_control/vendors/openai/{what}", content=sent)
    assert reply.status_code == 400
    assert reason in reply.json()["error"]
    assert await sim.state("openai") == before


@pytest.mark.parametrize(
    ("method", "path", "sent", "status"),
    [
        ("PUT", "/_control/vendors/nobody/limits", b"[]", 404),
        ("GET", "/_control/arrivals?vendor=nobody", b"", 404),
        ("GET", "/_control/arrivals", b"", 400),
        ("GET", "/_control/arrivals?vendor=openai&limit=few", b"", 400),
        ("POST", "/_control/clock", b"{}", 400),
        ("POST", "/_control/clock", b'{"advance_s":-1}', 400),
    ],
)
async def test_an_order_to_nobody_or_for_nothing_is_refused_with_its_reason(http, method, path, sent, status):
    reply = await http.request(method, path, content=sent)
    assert reply.status_code == status
    assert reply.json()["error"]


async def test_the_client_raises_the_reason(sim):
    with pytest.raises(ValueError, match="earthquake"):
        await sim.set_faults("openai", [{"kind": "earthquake"}])


async def test_state_shows_what_is_in_force(sim):
    limits = [{"unit": "tokens", "per": "month", "amount": 9, "scope": "model", "resets": "utc", "models": ["gpt-4o"]}]
    await sim.set_limits("openai", limits)
    await sim.set_faults("openai", [{"kind": "cut", "after_tokens": 3, "times": 2}])
    await sim.set_latency("openai", first_token_ms=5, token_ms=1)
    await sim.set_standing("openai", rejected=["0001"], retired_models=["gpt-4o-mini"])
    state = await sim.state("openai")
    assert state["limits"] == limits
    assert state["faults"] == [{"kind": "cut", "after_tokens": 3, "times": 2}]
    assert state["latency"] == {"first_token_ms": 5, "token_ms": 1, "jitter": 0}
    assert state["standing"] == {"rejected": ["0001"], "retired_models": ["gpt-4o-mini"]}


async def test_reset_goes_back_to_the_rows(sim, ask):
    before = await sim.state()
    await sim.set_limits("openai", None)
    await sim.set_faults("openai", [{"kind": "hang"}])
    await sim.set_latency("openai", first_token_ms=5_000)
    await sim.set_standing("openai", rejected=["*"], out_of_credit=["*"], retired_models=["gpt-4o"], ended=True)
    await sim.reset()
    await ask("openai")
    await sim.reset()
    assert await sim.state() == before


async def test_arrivals_can_be_limited_to_the_last_ones(sim, ask, http):
    for _ in range(4):
        await ask("openai")
    reply = await http.get("/_control/arrivals", params={"vendor": "openai", "limit": 2})
    assert [row["number"] for row in reply.json()] == [3, 4]
