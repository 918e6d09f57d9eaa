"""The rules of tenants: what they make of an intent, and what they forbid."""

import pytest
from fixtures.shipped import shipped
from llmmesh.router.v1 import router_pb2

from catalog.tenants import Tenant
from meshkit.errors import MeshError, Reason
from router_service.tenancy import rule

CATALOG = shipped()
GROQ, OPENAI = "groq/openai/gpt-oss-120b", "openai/gpt-4o"


def ruled(tenant: Tenant, *, embeds: bool = False, **said) -> router_pb2.Intent:
    intent = router_pb2.Intent(**said)
    rule(intent, tenant, CATALOG, embeds=embeds)
    return intent


def forbidden(tenant: Tenant, **said) -> MeshError:
    with pytest.raises(MeshError) as caught:
        ruled(tenant, **said)
    assert caught.value.reason == Reason.FORBIDDEN
    return caught.value


def test_a_tenant_without_rules_changes_nothing():
    said = {"use_case": "analysis", "model": GROQ, "labels": {"a": "b"}, "tier": router_pb2.TIER_FREE}
    assert ruled(Tenant("a"), **said) == router_pb2.Intent(**said)


def test_what_the_intent_leaves_open_the_tenant_decides():
    tenant = Tenant("a", default_tier="economy", stream_guarantee="whole")
    assert ruled(tenant) == router_pb2.Intent(
        tier=router_pb2.TIER_ECONOMY, stream_guarantee=router_pb2.STREAM_GUARANTEE_WHOLE
    )
    said = {"tier": router_pb2.TIER_FREE, "stream_guarantee": router_pb2.STREAM_GUARANTEE_FAST}
    assert ruled(tenant, **said) == router_pb2.Intent(**said)


@pytest.mark.parametrize(
    ("ours", "said", "expected"),
    [
        ("local_only", router_pb2.DATA_POLICY_UNSPECIFIED, router_pb2.DATA_POLICY_LOCAL_ONLY),
        ("local_only", router_pb2.DATA_POLICY_NO_TRAINING, router_pb2.DATA_POLICY_LOCAL_ONLY),
        ("no_training", router_pb2.DATA_POLICY_LOCAL_ONLY, router_pb2.DATA_POLICY_LOCAL_ONLY),
        ("no_training", router_pb2.DATA_POLICY_UNSPECIFIED, router_pb2.DATA_POLICY_NO_TRAINING),
        ("", router_pb2.DATA_POLICY_NO_TRAINING, router_pb2.DATA_POLICY_NO_TRAINING),
        ("local_only", 77, 77),  # a word of a newer contract: refused later, never taken for less
    ],
)
def test_the_stricter_data_policy_holds(ours, said, expected):
    assert ruled(Tenant("a", data_policy=ours), data_policy=said).data_policy == expected


def test_the_labels_of_the_tenant_are_no_callers_to_change():
    labels = ruled(Tenant("a", labels={"team": "search"}), labels={"team": "other", "run": "7"}).labels
    assert dict(labels) == {"team": "search", "run": "7"}
    with pytest.raises(MeshError, match="at most 4 with those of the tenant"):
        ruled(Tenant("a", labels={"team": "search"}), labels=dict.fromkeys("bcde", "x"))


def test_a_use_case_the_tenant_may_not_use_is_forbidden_by_name_by_alias_and_as_a_requirement():
    tenant = Tenant("a", use_cases=("conversation",))
    for said in ({"use_case": "analysis"}, {"requirements": ["analysis"]}):
        error = forbidden(tenant, **said)
        assert error.fields[0].field == "intent.use_case"
        assert "allowed: conversation" in error.message
    assert ruled(tenant, use_case="conversation").use_case == "conversation"
    assert ruled(tenant, use_case="unknown").use_case == "unknown"  # refused later, as everybody's


def test_who_names_no_use_case_is_taken_to_mean_the_first_that_is_allowed():
    tenant = Tenant("a", use_cases=("conversation", "analysis"))
    assert ruled(tenant).use_case == "conversation"
    assert ruled(Tenant("a", use_cases=("analysis", "default"))).use_case == ""


def test_a_model_the_tenant_may_not_use_is_forbidden_wherever_it_is_named():
    tenant = Tenant("a", models=("groq/*",))
    for field, said in (
        ("intent.model", {"model": OPENAI}),
        ("intent.preferred_model", {"preferred_model": "gpt-4o"}),
        ("intent.candidates[1]", {"candidates": [GROQ, OPENAI]}),
    ):
        assert forbidden(tenant, **said).fields[0].field == field
    assert ruled(tenant, model=GROQ).model == GROQ
    assert ruled(tenant, model="no-such-model").model == "no-such-model"


def test_only_models_that_both_the_tenant_and_the_caller_allow_remain():
    tenant = Tenant("a", models=("groq/*", "openai/*"))
    assert list(ruled(tenant).allow_models) == ["groq/*", "openai/*"]
    both = list(ruled(tenant, allow_models=["openai/gpt-4o", "gemini/*"]).allow_models)
    assert both == ["openai/gpt-4o"]
    assert list(ruled(tenant, allow_models=["gemini/*"]).allow_models) == ["-"]
