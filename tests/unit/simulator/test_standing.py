"""A vendor can be told whose keys it rejects, whose credit is spent, what it retired, and that it is no more."""

import pytest

PATH = "/openai/v1/chat/completions"
ONE = {"authorization": "Bearer sk-acctone-0001"}
ANOTHER = {"authorization": "Bearer sk-acctanother-0002"}


def body(model: str = "gpt-4o"):
    return {"model": model, "messages": [{"role": "user", "content": "say: x"}]}


@pytest.fixture
def code(http):
    """Ask and give the code of the error, nothing when there is none."""

    async def ask(key: dict[str, str], model: str = "gpt-4o") -> str:
        reply = await http.post(PATH, json=body(model), headers=key)
        return reply.json().get("error", {}).get("code", "")

    return ask


@pytest.mark.parametrize("name", ["one", "0001"])
async def test_one_key_or_account_is_rejected_and_the_others_are_not(sim, http, code, name):
    await sim.set_standing("openai", rejected=[name])
    assert [await code(ONE), await code(ANOTHER)] == ["invalid_api_key", ""]
    assert (await http.get("/openai/v1/models", headers=ONE)).status_code == 401
    assert (await http.get("/openai/v1/models", headers=ANOTHER)).status_code == 200
    assert (await sim.state("openai"))["rejected"] == 1


async def test_all_keys_are_rejected(sim, code):
    await sim.set_standing("openai", rejected=["*"])
    assert [await code(ONE), await code(ANOTHER)] == ["invalid_api_key"] * 2


async def test_an_account_without_credit_is_told_so_and_may_still_look_around(sim, http, code):
    await sim.set_standing("openai", out_of_credit=["one"])
    assert [await code(ONE), await code(ANOTHER)] == ["insufficient_quota", ""]
    assert (await http.get("/openai/v1/models", headers=ONE)).status_code == 200


async def test_a_retired_model_is_gone_from_the_list_and_refused(sim, http, code):
    await sim.set_standing("openai", retired_models=["gpt-4o"])
    assert [await code(ONE), await code(ONE, "gpt-4o-mini")] == ["model_not_found", ""]
    listed = (await http.get("/openai/v1/models", headers=ONE)).json()["data"]
    assert "gpt-4o" not in {model["id"] for model in listed}
    await sim.set_standing("openai")
    assert await code(ONE) == ""


async def test_a_vendor_that_ended_answers_nothing_else(sim, http):
    await sim.set_standing("openai", ended=True)
    listed = await http.get("/openai/v1/models", headers=ONE)
    asked = await http.post(PATH, json=body(), headers=ANOTHER)
    for reply in (listed, asked):
        assert (reply.status_code, "error" in reply.json()) == (410, True)
    state = await sim.state("openai")
    assert (state["arrivals"], state["rejected"], state["admitted"]) == (1, 1, 0)
