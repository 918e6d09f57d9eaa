"""Whatever is killed, whenever: no vendor sees one call too many, no hold lives for ever, and the books balance."""

import os
from pathlib import Path

import pytest
from fixtures import nemesis
from fixtures.acceptance import leaves_nothing
from fixtures.autopsy import autopsy
from fixtures.mesh_callers import calling, eventually
from fixtures.nemesis import Nemesis
from fixtures.sandbox_mesh import sandbox_mesh

ROUNDS = int(os.environ.get("ROUNDS", "30"))
SEED = int(os.environ.get("SEED", "18"))  # its first five rounds kill each of them


@pytest.mark.timeout(900)
async def test_five_rounds_of_kill_9_under_load(tmp_path: Path) -> None:
    await survived(tmp_path, rounds=5, seed=SEED)


@pytest.mark.nightly
@pytest.mark.timeout(1_800)
async def test_many_rounds_of_kill_9_under_load(tmp_path: Path) -> None:
    await survived(tmp_path, rounds=ROUNDS, seed=SEED, until_lapsed=True)


async def survived(directory: Path, *, rounds: int, seed: int, until_lapsed: bool = False) -> None:
    """Run a mesh through rounds of kills; then ask the vendors, and the ledger when the mesh is dead."""
    lines = [f"seed {seed}, {rounds} rounds, quota {nemesis.quota(rounds)} each at groq and openai"]

    def tell(line: str) -> None:
        lines.append(line)
        print(line)  # noqa: T201 - `make chaos` shows it

    with sandbox_mesh(directory, nemesis.config(rounds)) as mesh:
        async with calling(mesh) as callers:
            storm = Nemesis(callers, rounds, seed, tell)
            await storm.rage()
            arrived = await storm.arrivals()

            async def all_ended() -> bool:
                return bool((await callers.budgets()).open_holds == 0)

            if until_lapsed:
                await eventually(all_ended, 60, "every hold to end")
    found = await autopsy(mesh.ledger, directory / "mesh.yaml")
    tell(f"all rounds {storm.told}")
    tell(f"arrived {arrived}, charged {dict(found.charged)}")
    tell(f"held at the end {found.held}, overdue {found.overdue}, discrepancies {found.discrepancies}")
    shown = "\n".join(lines)
    assert storm.told.wrong == [], shown
    assert storm.told.served > 8 * rounds, shown
    assert (found.discrepancies, found.over, found.overdue, found.immortal) == ([], [], 0, 0), shown
    for vendor, count in arrived.items():
        assert count <= found.charged.get(vendor, 0), shown
    leaves_nothing(mesh)
