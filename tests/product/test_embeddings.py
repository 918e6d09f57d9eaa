"""The rows about embeddings."""

import json

import openai
import pytest

TEXTS = ["the first text", "the second"]
PROMISED = "cohere"


def embedding_models(catalogue):
    """Return one model that embeds of each vendor whose usual plan has any, by vendor."""
    rows = [(vendor, model) for vendor in catalogue.vendors.values() for model in vendor.models.values()]
    able = [(vendor, model) for vendor, model in rows if model.embeds and model.status == "active"]
    reached = [(vendor, model) for vendor, model in able if vendor.plans[vendor.default_plan].covers(model.id)]
    return {vendor.id: model.id for vendor, model in reversed(reached)}


def embeds(customer, vendor, model):
    """Check that the official client gets vectors of exactly that model."""
    customer.tap.forget()
    with openai.OpenAI(base_url=f"{customer.mesh.edge}/v1", api_key="any", max_retries=0) as official:
        reply = official.embeddings.create(model=f"{vendor}/{model}", input=TEXTS)
    assert (reply.object, reply.model, len(reply.data)) == ("list", model, 2)
    first, second = (list(row.embedding) for row in reply.data)
    assert len(first) == len(second) > 1
    assert first != second
    assert reply.usage.prompt_tokens > 0
    assert reply.model_extra["llm_mesh"]["vendor"] == vendor
    assert [heard.vendor for heard in customer.tap.chats] == [vendor]


@pytest.mark.product("P-OPS-27")
def test_v1_embeddings_works_for_the_promised_vendor_and_the_others_that_have_them(whole, catalogue):
    models = embedding_models(catalogue)
    assert {PROMISED, "openai", "mistral", "gemini", "qwen", "perplexity", "deepinfra", "azure", "ollama"} <= set(
        models
    )
    for vendor, model in models.items():
        embeds(whole, vendor, model)


def chosen(customer, first):
    """Check that the use case embeds by this vendor, and by one other alone when it fails."""
    assert customer.explain(use_case="embedding").offers[0].offer.partition("/")[0] == first
    answer = customer.embed(*TEXTS)
    assert (answer.route.use_case, answer.route.vendor, answer.route.fallback_used) == ("embedding", first, False)
    customer.tap.forget()
    customer.tap.faults(first, {"kind": "status", "status": 500, "operation": "embed"})
    answer = customer.embed(*TEXTS)
    assert answer.route.vendor != first
    assert answer.route.fallback_used
    last = customer.tap.chats[-1]
    assert last.vendor == answer.route.vendor
    assert all(
        json.dumps(text) in json.dumps(last.json) for text in TEXTS
    )  # the other makes every vector, not the rest
    assert len({len(embedding.values) for embedding in answer.embeddings}) == 1


def test_the_use_case_embeds_by_its_first_candidate_else_by_another_vendor_and_never_by_two_at_once(whole, catalogue):
    listed = catalogue.use_cases["embedding"].candidates["standard"]
    chosen(whole, listed[0].partition("/")[0])


@pytest.mark.product("P-ROUTE-23")
def test_embeddings_are_made_by_the_promised_vendor_else_by_another_that_has_them(row, whole):
    assert row("P-ROUTE-23")["vendor"] == PROMISED
    chosen(whole, PROMISED)


def used_of_account(customer, vendor):
    """Return how many requests the budgets of a vendor's account have counted."""
    budgets = [budget for budget in customer.budgets().budgets if budget.unit == "requests"]
    return {budget.id: budget.used + budget.held for budget in budgets if budget.subject == f"{vendor}/default"}


@pytest.mark.product("P-VENDOR-5")
def test_answers_and_vectors_of_the_promised_vendor_work_with_one_key_and_share_its_quota(whole, catalogue):
    before = used_of_account(whole, PROMISED)
    assert before, "the account has a limit on requests"
    assert whole.embed(*TEXTS, model=f"{PROMISED}/{embedding_models(catalogue)[PROMISED]}").route.vendor == PROMISED
    assert whole.generate(model=PROMISED).route.vendor == PROMISED
    keys = {heard.headers["authorization"] for heard in whole.tap.chats}
    assert len(keys) == 1
    assert used_of_account(whole, PROMISED) == {budget: used + 2 for budget, used in before.items()}


def test_the_command_line_explains_how_a_text_would_be_embedded(whole):
    done = whole.command("explain", "--embed", "a text", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["use_case"]) == (0, "embedding")
    assert told["offers"][0]["offer"] == whole.embed("a text").route.offer
    assert json.loads(whole.command("explain", "--use-case", "embedding", "--json").stdout)["offers"] != []
    assert whole.command("explain", "--embed").returncode == 2
