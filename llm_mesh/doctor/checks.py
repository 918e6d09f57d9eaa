"""The doctor's checks: each reads the evidence and says whether a thing is well, and if not what to do."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from llmmesh.router.v1 import router_pb2

from catalog.keys import check_key, is_template, read_keys
from catalog.model import Vendor
from llm_mesh.checks import keys
from llm_mesh.doctor.checklists import Item
from llm_mesh.doctor.evidence import Evidence, usable
from llm_mesh.variables import CALLER_KEY

SCRAPED_WITHIN = 300.0
START = "start it with `llm-mesh up`"
ASK_AGAIN = f"{START}, then ask the doctor again"
LOCAL = "start it, or set LOCAL_MODELS_ENABLED=false; docs/local-models.md says how to install one"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `advice` is empty when it is well."""

    what: str
    detail: str
    advice: str = ""
    optional: bool = False

    @property
    def well(self) -> bool:
        """Tell whether nothing need be done."""
        return not self.advice

    @property
    def fails(self) -> bool:
        """Tell whether the checklist fails for it."""
        return not self.well and not self.optional


Check = Callable[[Evidence, Item], Iterator[Finding]]


def examine(found: Evidence, items: Iterator[Item]) -> Iterator[Finding]:
    """Look at every item; without a configuration there is nothing else to see."""
    for item in items:
        for finding in CHECKS[item.check](found, item):
            yield Finding(finding.what, finding.detail, finding.advice, item.optional or finding.optional)
        if found.config_problem:
            return


def _configuration(found: Evidence, _item: Item) -> Iterator[Finding]:
    if found.config_problem:
        yield Finding(
            "configuration", found.config_problem, "mend the line it names; `llm-mesh config check` looks again"
        )
        return
    yield Finding("configuration", str(found.config or "the defaults, for there is no mesh.yaml"))


def _keys(found: Evidence, _item: Item) -> Iterator[Finding]:
    """Tell of every vendor that takes a key; one that is missing fails nothing, one that cannot be right does."""
    for vendor in found.mesh.catalog.vendors.values() if found.mesh else ():
        if vendor.key_env and not vendor.retired_on:
            yield from _key_of(found, vendor, wanted=False)


def _key(found: Evidence, item: Item) -> Iterator[Finding]:
    """Tell of one vendor whose key is wanted: set, well-formed, accepted."""
    vendor = found.mesh.catalog.vendor(item.vendor) if found.mesh else None
    if vendor is None:
        yield Finding(f"key of {item.vendor}", "the catalogue does not have this vendor", "choose another catalogue")
        return
    faults = list(_key_of(found, vendor, wanted=True))
    yield from faults
    if any(fault.fails for fault in faults):
        return
    yield _acceptance(found, vendor)


def _acceptance(found: Evidence, vendor: Vendor) -> Finding:
    """Say what the vendor thinks of its keys: one that is accepted is enough."""
    told, name = [each for each in found.told if each.vendor == vendor.id], f"key of {vendor.id} accepted"
    if not found.runs:
        return Finding(name, "nobody has asked the vendor", ASK_AGAIN)
    if accepted := [each for each in told if each.accepted]:
        return Finding(name, f"slot {', '.join(str(each.slot) for each in accepted)}")
    why = keys.why_not(told[0]) if told else "its provider service says nothing of it"
    return Finding(name, why, f"put a working key into {_names(vendor)}; {vendor.key_page} has them")


def _key_of(found: Evidence, vendor: Vendor, *, wanted: bool) -> Iterator[Finding]:
    """Say what the environment holds for a vendor; never any part of a key."""
    name, get_one = f"key of {vendor.id}", f"put one into .env as {vendor.key_env[0]}; get one at {vendor.key_page}"
    read = read_keys(vendor, found.variables)
    if not read.slots:
        left = [each for each in vendor.key_env if (value := found.variables.get(each, "")) and is_template(value)]
        detail = f"{left[0]} is as the example file has it" if left else "not set"
        yield Finding(name, detail, get_one, optional=not wanted)
        return
    for slot, key in read.slots.items():
        state = check_key(vendor, key.key.reveal())
        if state.state != "ok":
            yield Finding(name, f"{key.place} {state.reason}", f"mend it; {vendor.key_page} has your keys")
        else:
            yield Finding(name, f"{key.place} (slot {slot})")
    for warning in read.warnings:
        yield Finding(name, warning, "take one of them away", optional=True)


def _names(vendor: Vendor) -> str:
    return " or ".join(vendor.key_env)


def _caller_key(found: Evidence, _item: Item) -> Iterator[Finding]:
    if is_template(found.variables.get(CALLER_KEY, "")):
        advice = f"put {CALLER_KEY}=$(openssl rand -hex 24) into .env; callers send it as X-API-Key or bearer token"
        yield Finding("key of callers", f"{CALLER_KEY} is not set", advice)
    else:
        yield Finding("key of callers", f"{CALLER_KEY} is set")


def _ports(found: Evidence, _item: Item) -> Iterator[Finding]:
    if found.runs or found.refused:
        yield Finding("ports", "the mesh has them")
    elif not found.taken_ports:
        yield Finding("ports", "all free")
    for problem in found.taken_ports:
        detail, _, change = problem.rpartition(": ")
        yield Finding("ports", detail, change or "use --ports auto")


def _mesh(found: Evidence, _item: Item) -> Iterator[Finding]:
    if found.runs:
        yield Finding("mesh", f"answers at {found.where.router}")
    elif found.refused:
        yield Finding("mesh", f"at {found.where.router}: {found.silence}", "put the callers' key into MESH_API_KEY")
    else:
        yield Finding("mesh", f"does not answer at {found.where.router}", START)


def _accepted(found: Evidence, _item: Item) -> Iterator[Finding]:
    """Tell of every key its vendor does not accept, as `vendors check` would."""
    if not found.runs:
        yield Finding("keys accepted", "nobody has asked the vendors", ASK_AGAIN, optional=True)
        return
    told = [each for each in keys.ordered(found.told) if keys.matter(each, named=False)]
    bad = [each for each in told if not keys.works(each, named=False)]
    for each in bad:
        advice = "`llm-mesh vendors check` says more; a key that is rejected needs replacing"
        yield Finding(f"{each.vendor} slot {each.slot}", keys.why_not(each), advice)
    if not bad:
        yield Finding("keys accepted", f"{sum(each.accepted for each in told)} of them")


def _local_server(found: Evidence, _item: Item) -> Iterator[Finding]:
    for vendor, answers in found.reachable.items():
        url = found.mesh.endpoint(vendor).url if found.mesh else ""
        yield Finding(
            f"local server {vendor}",
            f"{'answers' if answers else 'does not answer'} at {url}",
            "" if answers else LOCAL,
        )
    if not found.reachable:
        yield Finding("local server", "switched off", "set LOCAL_MODELS_ENABLED=true")


def _local_models(found: Evidence, item: Item) -> Iterator[Finding]:
    """Tell whether a model, or any, can be used on machines of ours."""
    if not found.runs:
        yield Finding("local models", "nobody has asked the local server", ASK_AGAIN)
        return
    wanted = [name for name in found.local_models if not item.model or name.partition("/")[2] == item.model]
    name = f"local model {item.model}" if item.model else "local models"
    if wanted:
        yield Finding(name, ", ".join(wanted))
    else:
        advice = f"pull {item.model or 'one'}; docs/local-models.md says how"
        yield Finding(name, "not there", advice)


def _active(found: Evidence, _item: Item) -> Iterator[Finding]:
    """Tell whether any vendor can be used; before the mesh runs, whether one could."""
    if found.runs:
        active = [vendor.id for vendor in found.vendors.values() if vendor.status == "active"]
    else:
        vendors = found.mesh.catalog.vendors.values() if found.mesh else ()
        active = [vendor for vendor, answers in found.reachable.items() if answers]
        active += [vendor.id for vendor in vendors if _usable(found, vendor)]
    if active:
        yield Finding("a vendor that serves", ", ".join(active))
    else:
        advice = "put a key into .env (see .env.example), or try `llm-mesh up --sandbox`"
        yield Finding("a vendor that serves", "no vendor is active", advice)


def _usable(found: Evidence, vendor: Vendor) -> bool:
    slots = read_keys(vendor, found.variables).slots.values() if vendor.key_env and not vendor.retired_on else ()
    return any(check_key(vendor, each.key.reveal()).state == "ok" for each in slots)


def _scraped(found: Evidence, _item: Item) -> Iterator[Finding]:
    if found.scraped is not None and found.scraped <= SCRAPED_WITHIN:
        yield Finding("metrics scraped", f"{found.scraped:.0f} s ago")
        return
    page = f"http://{found.mesh.router_admin}/metrics" if found.mesh else "the admin pages"
    advice = f"let Prometheus scrape {page}: deploy/prometheus/"
    yield Finding("metrics scraped", f"not in the last {SCRAPED_WITHIN:.0f} s", advice)


def _replicas(found: Evidence, _item: Item) -> Iterator[Finding]:
    name, target = "router replicas", found.where.router
    if found.replicas > 1:
        yield Finding(name, f"{target} is {found.replicas} addresses, and calls spread over them")
    else:
        advice = "run several routers and dial them by one name: dns:///router:7400 in MESH_ROUTER_ADDRESS"
        yield Finding(name, f"{target} is {found.replicas or 'no'} address", advice)


def _fallbacks(found: Evidence, _item: Item) -> Iterator[Finding]:
    """Tell of use cases that one vendor alone would serve."""
    if not found.runs:
        yield Finding("fallbacks", "nobody has asked the mesh", ASK_AGAIN)
        return
    alone = sorted(name for name, plan in found.plans.items() if len(_ways(found, name, plan)) < 2)
    if alone:
        advice = "set keys of further vendors, or name more candidates; `llm-mesh explain -u NAME` says who is left out"
        yield Finding("fallbacks", f"one at most serves {', '.join(alone)}", advice)
    else:
        yield Finding("fallbacks", f"every one of {len(found.plans)} use cases has another vendor to go to")


def _ways(found: Evidence, use_case: str, plan: router_pb2.ExplainRouteResponse | str) -> set[str]:
    """Return the vendors that would serve a use case; the models where it may not leave our machines."""
    stays = found.mesh is not None and found.mesh.use_cases[use_case].data_policy == "local_only"
    return {offer.partition("#" if stays else "/")[0] for offer in usable(plan)}


def _money_budget(found: Evidence, _item: Item) -> Iterator[Finding]:
    yield from _budget(found, "a budget of money", ("nanodollars",), "unit: usd")


def _quota_budget(found: Evidence, _item: Item) -> Iterator[Finding]:
    yield from _budget(found, "a budget of requests or tokens", ("requests", "tokens"), "unit: requests")


def _budget(found: Evidence, name: str, units: tuple[str, ...], word: str) -> Iterator[Finding]:
    ours = [each for each in (found.mesh.budgets if found.mesh else ()) if each.unit in units]
    if ours:
        yield Finding(name, ", ".join(sorted({each.subject for each in ours})))
    else:
        yield Finding(name, "none", f"add one to `budgets` of mesh.yaml: {{subject: tenant/local, {word}, …}}")


def _fell_back(found: Evidence, _item: Item) -> Iterator[Finding]:
    if found.fallbacks:
        yield Finding("fallback tried", f"{found.fallbacks:.0f} requests since the router started")
    else:
        advice = (
            "`llm-mesh ledger override VENDOR --left 0 --until reset`, then `llm-mesh chat hello`, then "
            "`llm-mesh ledger override VENDOR --clear`"
        )
        yield Finding("fallback tried", "not since the router started", advice)


def _health(found: Evidence, _item: Item) -> Iterator[Finding]:
    advice = START if not found.runs else "see whether `addresses.edge` is right and open"
    yield Finding("/api/health", found.health or "readable", advice if found.health else "")


CHECKS: Mapping[str, Check] = {
    "configuration": _configuration,
    "keys": _keys,
    "key": _key,
    "caller_key": _caller_key,
    "ports": _ports,
    "mesh": _mesh,
    "accepted": _accepted,
    "local_server": _local_server,
    "local_models": _local_models,
    "active": _active,
    "scraped": _scraped,
    "replicas": _replicas,
    "fallbacks": _fallbacks,
    "money_budget": _money_budget,
    "quota_budget": _quota_budget,
    "fell_back": _fell_back,
    "health": _health,
}
