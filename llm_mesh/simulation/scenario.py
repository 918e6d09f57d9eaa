"""Says what is simulated: a configuration, and requests that are all alike."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import get_args

from llmmesh.router.v1 import router_pb2

from catalog.loader import load_catalog
from catalog.mesh import Mesh, catalog_place, load_mesh
from catalog.model import UseCase
from catalog.words import Strategy
from meshkit.errors import StartError
from router_service.rehearsal import LEAST_INPUT, Sizes

STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked about a configuration: requests of a use case, its strategy, and the tokens of each request.

    `estimates` is how many times what it needs a request is estimated to need; `callers` are under way at one time;
    the requests take `seconds` to arrive. An empty word leaves it to the file.
    """

    use_case: str = ""
    strategy: str = ""
    spread_share: int = 0
    tier: router_pb2.Tier.ValueType = router_pb2.TIER_UNSPECIFIED
    prompt: int = 200
    answer: int = 300
    estimates: float = 1.0
    callers: int = 16
    seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """A configuration and the requests that are sent to it."""

    mesh: Mesh
    use_case: UseCase
    intent: router_pb2.Intent
    sizes: Sizes
    callers: int
    seconds: float


def load(file: Path, env: Mapping[str, str], wanted: Wanted) -> Scenario:
    """Read a mesh.yaml, and what is wanted of it.

    Raises:
        StartError: the file is wrong, or what is wanted is not in it.
    """
    catalog = load_catalog(catalog_place(file, env))
    mesh = load_mesh(file, env, catalog)
    own = [name for name, row in mesh.use_cases.items() if catalog.use_cases.get(name) != row]
    use_case = _with_strategy(_use_case(mesh, own, wanted.use_case), wanted)
    use_cases = MappingProxyType({**mesh.use_cases, use_case.name: use_case})
    return Scenario(
        mesh=replace(mesh, catalog=replace(mesh.catalog, use_cases=use_cases)),
        use_case=use_case,
        intent=router_pb2.Intent(use_case=use_case.name, tier=wanted.tier),
        sizes=_sizes(wanted),
        callers=wanted.callers,
        seconds=wanted.seconds,
    )


def _use_case(mesh: Mesh, own: list[str], named: str) -> UseCase:
    """Return the use case that is named, else the only one the file brings along, else the usual one."""
    if not named and len(own) > 1:
        raise StartError(f"the file has several use cases; name one with --use-case: {', '.join(own)}")
    name = named or next(iter(own), "default")
    found = mesh.catalog.use_case(name)
    if found is None:
        raise StartError(f"--use-case: unknown use case `{name}`; known: {', '.join(sorted(mesh.use_cases))}")
    return found


def _with_strategy(use_case: UseCase, wanted: Wanted) -> UseCase:
    strategy = next((known for known in STRATEGIES if known == wanted.strategy), None)
    if wanted.strategy and strategy is None:
        raise StartError(f"--strategy: unknown strategy `{wanted.strategy}`; known: {', '.join(STRATEGIES)}")
    strategy = strategy or use_case.strategy
    share = wanted.spread_share or use_case.spread_share
    if strategy == "spread" and not share:
        raise StartError(
            "strategy `spread` needs a share: say --spread-share N, so many requests a day for each account"
        )
    if strategy != "spread" and wanted.spread_share:
        raise StartError(f"--spread-share goes with the strategy `spread`; this one is `{strategy}`")
    return replace(use_case, strategy=strategy, spread_share=share if strategy == "spread" else 0)


def _sizes(wanted: Wanted) -> Sizes:
    estimated = round(wanted.prompt * wanted.estimates)
    if estimated < LEAST_INPUT:
        raise StartError(f"no prompt is estimated at less than {LEAST_INPUT} tokens; this one would be at {estimated}")
    return Sizes(estimated, max(1, round(wanted.answer * wanted.estimates)), wanted.prompt, wanted.answer)
