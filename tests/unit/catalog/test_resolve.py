"""Models are found by every name people use for them."""

import datetime as dt

import pytest
from fixtures.shipped import shipped

from catalog.model import Catalog, Model, ModelRef, Plan, Vendor

SHIPPED = shipped()


def vendor(name: str, *models: Model, aliases: tuple[str, ...] = ()) -> Vendor:
    return Vendor(
        id=name,
        display_name=name,
        reply_name=name,
        group="speed",
        dialect="openai",
        endpoint=f"https://{name}.example",
        plans={"paid": Plan("paid")},
        default_plan="paid",
        models={model.id: model for model in models},
        port_offset=0,
        aliases=aliases,
    )


def catalog(*vendors: Vendor) -> Catalog:
    return Catalog({row.id: row for row in vendors})


SMALL = catalog(
    vendor("old", Model("llama-70b-x", family="llama-70b", status="retired", short_names=("large",))),
    vendor(
        "host",
        Model("meta/Llama-70B", family="llama-70b", aliases=("Llama-70B-Instruct",)),
        Model("host/odd", short_names=("only", "other")),
        aliases=("the_host",),
    ),
    vendor("other", Model("llama-70b", family="llama-70b", status="unknown"), Model("big", short_names=("large",))),
)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("host/meta/Llama-70B", ["host/meta/Llama-70B"]),  # a vendor in front of an id with a slash
        ("meta/Llama-70B", ["host/meta/Llama-70B"]),  # an id with a slash, no vendor in front
        ("META/llama-70b", ["host/meta/Llama-70B"]),  # whatever the case
        ("The_Host/LLAMA-70b-instruct", ["host/meta/Llama-70B"]),  # alias of the vendor, alias of the model
        ("host/llama-70b", ["host/meta/Llama-70B"]),  # the family, at one vendor
        ("llama-70b", ["host/meta/Llama-70B", "other/llama-70b", "old/llama-70b-x"]),  # everywhere, active ones first
        ("host/odd", ["host/host/odd"]),  # an id that begins with its vendor's name
        ("host/host/odd", ["host/host/odd"]),
        ("only", ["host/host/odd"]),  # a short name only one vendor has
        ("large", []),  # a short name two vendors have
        ("old/large", ["old/llama-70b-x"]),
        ("other/LARGE", ["other/big"]),
        ("nobody/llama-70b", []),
        ("host/", []),
        ("/", []),
        ("", []),
        ("host", []),
        ("other", []),  # a vendor's name is no model's, though one goes by it
        ("host/other", ["host/host/odd"]),
    ],
)
def test_a_name_finds_the_models_it_means(name: str, found: list[str]) -> None:
    assert [str(ref) for ref in SMALL.resolve(name)] == found


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("groq/openai/gpt-oss-120b", "groq/openai/gpt-oss-120b"),
        ("deepinfra/meta-llama/Llama-3.3-70B-Instruct", "deepinfra/meta-llama/Llama-3.3-70B-Instruct"),
        ("github/openai/gpt-4o", "github/openai/gpt-4o"),
        ("openai/gpt-4o", "openai/gpt-4o"),  # of the vendor, not of the hosts that call it so
        ("claude/opus", "anthropic/claude-opus-5-5"),
        ("sonnet", "anthropic/claude-sonnet-5-5"),
        ("mistral/large", "mistral/mistral-large-latest"),
        ("copilot/gpt-4o", "azure/gpt-4o"),
        ("moonshot/kimi-k2.6", "kimi/kimi-k2.6"),
        ("zhipu/GLM-4", "glm/glm-4"),
        ("kimi/Kimi (128K context)", "kimi/moonshot-v1-128k"),
        ("perplexity/sonar", "perplexity/sonar"),  # the one that ended; it leads to perplexity/perplexity/sonar
        ("openrouter/DeepSeek", "openrouter/deepseek/deepseek-chat:free"),
        ("google/gemini-flash-latest", "gemini/gemini-flash-latest"),
        ("Google_Gemini/Flash", "gemini/gemini-flash-latest"),
        ("pro", "gemini/gemini-pro-latest"),
        ("local/LLAMA3.1:8B", "ollama/llama3.1:8b"),
        ("GPT/gpt-4o", "openai/gpt-4o"),
        ("groq/llama-3.1-70b", "groq/llama-3.1-70b-versatile"),
        ("groq/mixtral-8x7b", "groq/mixtral-8x7b-32768"),
    ],
)
def test_names_of_the_shipped_rows_find_their_models(name: str, found: str) -> None:
    assert [str(ref) for ref in SHIPPED.resolve(name)] == [found]


@pytest.mark.parametrize("name", ["openai/gpt-oss-120b", "gpt-oss-120b"])  # not a model of the vendor openai
def test_an_open_model_is_found_at_every_host(name: str) -> None:
    found = [ref.vendor for ref in SHIPPED.resolve(name)]
    assert found[:2] == ["groq", "deepinfra"]
    assert "openrouter" in found


@pytest.mark.parametrize(
    ("name", "vendor"),
    [
        ("google", "gemini"),
        ("LOCAL", "ollama"),
        ("gpt", "openai"),
        ("Groq", "groq"),
        ("grok", "xai"),
        ("x-ai", "xai"),
        ("DashScope", "qwen"),
        ("microsoft_copilot", "azure"),
        ("nobody", None),
        ("", None),
    ],
)
def test_vendors_are_found_by_id_and_alias_whatever_the_case(name: str, vendor: str | None) -> None:
    found = SHIPPED.vendor(name)
    assert (found.id if found else None) == vendor


def test_use_cases_are_found_by_name_and_alias() -> None:
    assert SHIPPED.use_case("LONG") is SHIPPED.use_cases["complex"]
    assert SHIPPED.use_case("sonnets") is None


def test_a_misspelt_name_is_answered_with_names_that_look_like_it() -> None:
    assert SHIPPED.closest("gpt4o")[0] == "gpt-4o"
    assert "groq/openai/gpt-oss-120b" in SHIPPED.closest("groq/openai/gpt-oss-12b")
    assert SHIPPED.closest("zzzzzzzzzz") == []


def test_successors_are_followed_to_the_end() -> None:
    assert SHIPPED.successor(ModelRef("groq", "llama3-70b-8192")) == ModelRef("groq", "openai/gpt-oss-120b")
    assert SHIPPED.successor(ModelRef("groq", "openai/gpt-oss-120b")) is None
    assert SHIPPED.successor(ModelRef("perplexity", "sonar")) == ModelRef("perplexity", "perplexity/sonar")
    assert SHIPPED.successor(ModelRef("github", "openai/gpt-4o")) == ModelRef("openai", "gpt-4o")
    assert SHIPPED.successor(ModelRef("groq", "never-heard-of")) is None
    assert SHIPPED.successor(ModelRef("nobody", "nothing")) is None


def test_the_successor_of_a_model_called_as_its_maker_and_the_makers_model_is_the_makers() -> None:
    rows = catalog(vendor("host", Model("maker/m", successor="maker/m")), vendor("maker", Model("m")))
    assert rows.next_of(ModelRef("host", "maker/m")) == ModelRef("maker", "m")


def test_a_successor_at_another_vendor_is_found_and_a_circle_still_ends() -> None:
    rows = catalog(
        vendor("one", Model("a", successor="two/b"), Model("x", successor="y"), Model("y", successor="x")),
        vendor("two", Model("b")),
    )
    assert rows.successor(ModelRef("one", "a")) == ModelRef("two", "b")
    assert rows.successor(ModelRef("one", "x")) == ModelRef("one", "y")


def test_a_model_whose_end_is_announced_retires_on_that_day() -> None:
    announced = Model("m", retired_on=dt.date(2026, 12, 11))
    assert not announced.retired_by(dt.date(2026, 12, 10))
    assert announced.retired_by(dt.date(2026, 12, 11))
    assert Model("m", status="retired").retired_by(dt.date(2020, 1, 1))
    assert not Model("m").retired_by(dt.date(2099, 1, 1))
