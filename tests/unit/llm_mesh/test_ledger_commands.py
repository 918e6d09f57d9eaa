"""`llm-mesh ledger` against a real quota service."""

import asyncio
import csv
import io
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import typer
from fixtures.eventually import eventually
from fixtures.quota_house import GROQ, World, reserve, running, settle
from llmmesh.quota.v1 import quota_pb2 as pb
from rich.console import Console
from typer.testing import CliRunner

from llm_mesh.cli.app import command_line
from llm_mesh.cli.ledger import override, spend, top, verify
from llm_mesh.cli.ledger.override import Wish
from llm_mesh.cli.outcome import Exit, UnreachableError
from llm_mesh.ports import free_addresses
from meshkit.errors import MeshError

Capture = pytest.CaptureFixture[str]
DAY, MONTH = "groq/default/requests/day", "tenant/team/nanodollars/month"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with running(tmp_path) as made:
        yield made


async def overrides(world: World) -> dict[str, pb.Override]:
    told = await world.stub.GetBudgets(pb.GetBudgetsRequest(), timeout=10)
    return {each.budget: each for each in told.overrides}


async def test_verify_says_that_every_level_is_right(world: World, capsys: Capture) -> None:
    await world.apply(reserve("a", GROQ))
    assert await verify.show(world.address, as_json=False) is Exit.DONE
    assert "and 1 open hold: every level is the sum of what is behind it" in capsys.readouterr().out


async def test_verify_fails_and_names_what_is_wrong(tmp_path: Path, capsys: Capture) -> None:
    async with running(tmp_path) as world:
        await world.apply(reserve("a", GROQ))
    with sqlite3.connect(tmp_path / "l.db") as connection:
        connection.execute("UPDATE budget_window SET held = held + 3 WHERE budget = ?", (DAY,))
    connection.close()
    async with running(tmp_path) as world:
        assert await verify.show(world.address, as_json=True) is Exit.FAILED
        told = json.loads(capsys.readouterr().out)
        assert told["right"] is False
        assert any("held is 4, the holds sum to 1" in difference for difference in told["differences"])
        assert await verify.show(world.address, as_json=False) is Exit.FAILED
        assert f"wrong: {DAY} at" in capsys.readouterr().out


async def test_an_override_of_a_whole_vendor_blocks_it_until_its_windows_reset(world: World, capsys: Capture) -> None:
    wish = Wish(left="0", until="reset", author="ann", reason="a try")
    assert await override.overrule("groq", wish, world.address, as_json=False) is Exit.DONE
    assert DAY in capsys.readouterr().out
    found = await overrides(world)
    assert "groq/default/concurrency/now" not in found
    day = await world.budget(DAY)
    assert (day.limit, day.declared_limit) == (0, 10)
    assert found[DAY].expires_at == day.resets_at
    (answer,) = await world.apply(reserve("a", GROQ))
    assert answer.HasField("denied")
    assert await override.take_back("groq", "ann", "done", world.address, as_json=True) is Exit.DONE
    assert {budget["limit"] for budget in json.loads(capsys.readouterr().out)["budgets"]} == {10}
    assert await overrides(world) == {}


async def test_money_is_given_in_dollars_and_what_is_left_counts_from_now(world: World, capsys: Capture) -> None:
    await world.apply(reserve("a", GROQ))
    await override.overrule(MONTH, Wish(left="2.5", until="2h"), world.address, as_json=False)
    month = await world.budget(MONTH)
    assert (month.limit, month.left) == (2_500_001_000, 2_500_000_000)
    lasts = (await overrides(world))[MONTH]
    assert 7_190 < lasts.expires_at.seconds - lasts.made_at.seconds <= 7_200
    assert "$2.500001" in capsys.readouterr().out


async def test_the_list_shows_what_counts_beside_what_is_declared(world: World, capsys: Capture) -> None:
    assert await override.show(world.address, as_json=False) is Exit.DONE
    assert capsys.readouterr().out == "every declared limit counts\n"
    await override.overrule(DAY, Wish(limit="3", author="ann", reason="less today"), world.address, as_json=False)
    capsys.readouterr()
    await override.show(world.address, as_json=False)
    line = capsys.readouterr().out.splitlines()[1]
    assert line.split()[:5] == [DAY, "3", "10", "for", "ever"]
    assert line.endswith("less today")
    await override.show(world.address, as_json=True)
    (told,) = json.loads(capsys.readouterr().out)["overrides"]
    assert (told["budget"], told["limit"], told["declared_limit"], told["author"]) == (DAY, 3, 10, "ann")


@pytest.mark.parametrize(
    ("target", "wish", "said"),
    [
        ("nobody", Wish(limit="1"), "no budget is called nobody"),
        (DAY, Wish(limit="many"), "`many` is no number"),
        (DAY, Wish(limit="1.5"), "`1.5` is no amount in requests; the finest is 1"),
        (MONTH, Wish(limit="0.0000000001"), "the finest is a billionth of a dollar"),
        (DAY, Wish(limit="1", until="soon"), "`soon`; allowed: reset, a length of time"),
    ],
)
async def test_what_makes_no_sense_is_a_wrong_usage(world: World, target: str, wish: Wish, said: str) -> None:
    with pytest.raises(typer.BadParameter, match=said):
        await override.overrule(target, wish, world.address, as_json=False)


async def test_what_the_quota_service_refuses_is_told(world: World) -> None:
    with pytest.raises(MeshError, match=r"expires_at: is .* in the past by the ledger's clock; allowed: later"):
        await override.overrule(DAY, Wish(limit="1", until="2020-01-01T00:00:00+00:00"), world.address, as_json=False)
    with pytest.raises(typer.BadParameter, match="nothing overrules a limit of groq"):
        await override.take_back("groq", "", "why", world.address, as_json=False)


async def test_no_quota_service_is_told_apart() -> None:
    address = free_addresses(1)[0]
    with pytest.raises(UnreachableError, match=f"cannot reach the quota service at {address}"):
        await verify.show(address, as_json=False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["override", "groq"], "one of --limit and --left is needed"),
        (["override", "set", "groq", "--limit", "1", "--left", "1"], "one of --limit and --left is needed"),
        (["override", "--colour"], "No such option"),
        (["spend", "--csv", "--json"], "--csv or --json, not both"),
    ],
)
def test_wrong_words_end_with_status_2(words: list[str], said: str) -> None:
    done = CliRunner().invoke(command_line(), ["ledger", *words])
    assert done.exit_code == 2
    assert said in done.output


@pytest.mark.parametrize(
    "command", ["verify", "top", "spend", "override", "override set", "override list", "override remove"]
)
def test_every_command_has_help(command: str) -> None:
    done = CliRunner().invoke(command_line(), ["ledger", *command.split(), "--help"])
    assert done.exit_code == 0
    assert "Usage:" in done.output


async def test_top_once_shows_the_fullest_budgets_first_and_what_becomes_of_them(world: World, capsys: Capture) -> None:
    await world.apply(*(reserve(f"a{n}", GROQ) for n in range(10)))
    await world.apply(*(settle(f"a{n}") for n in range(9)))
    await override.overrule(MONTH, Wish(limit="10"), world.address, as_json=False)
    capsys.readouterr()
    assert await top.show(top.Wish(), world.address, as_json=False) is Exit.DONE
    head, first, *rest = capsys.readouterr().out.splitlines()
    assert head.split() == ["budget", "limit", "used", "held", "others", "left", "%", "resets", "forecast"]
    assert first.split()[:7] == [DAY, "10", "9", "1", "0", "0", "100"]
    assert first.rstrip().endswith("used up")
    assert any(MONTH in line and "$10 (declared $20)" in line for line in rest)
    assert "1 open hold" in rest[-1]
    assert await top.show(top.Wish("tenant/", everything=True), world.address, as_json=True) is Exit.DONE
    (month,) = json.loads(capsys.readouterr().out)["budgets"]
    assert (month["id"], month["declared_limit"]) == (MONTH, 20_000_000_000)
    assert month["forecast"]["outlook"] in {"lasts", "resets_first", "runs_out"}


async def test_top_changes_while_it_is_watched_and_ends_when_the_service_does(tmp_path: Path) -> None:
    told = io.StringIO()
    async with running(tmp_path) as world:
        console = Console(file=told, force_terminal=True, width=200)
        watching = asyncio.create_task(top.live(top.Wish("groq", every=0.1), world.address, console))
        await eventually(lambda: "0 open holds" in told.getvalue())
        await world.apply(reserve("a", GROQ))
        await eventually(lambda: DAY in told.getvalue() and "1 open hold" in told.getvalue())
    with pytest.raises(UnreachableError, match=r"the quota service at .* has stopped"):
        await watching


async def test_top_as_json_is_a_line_for_each_change(tmp_path: Path, capsys: Capture) -> None:
    async with running(tmp_path) as world:
        watching = asyncio.create_task(top.lines(top.Wish("groq/default", every=0.1), world.address))
        seen: list[str] = []
        await eventually(lambda: seen.extend(capsys.readouterr().out.splitlines()) or len(seen) >= 1)
        await world.apply(reserve("a", GROQ))
        await eventually(lambda: seen.extend(capsys.readouterr().out.splitlines()) or len(seen) >= 2)
    with pytest.raises(UnreachableError, match="has stopped"):
        await watching
    first, second = (json.loads(line) for line in seen[:2])
    assert DAY in [budget["id"] for budget in first["budgets"]]
    assert {budget["id"]: budget["held"] for budget in second["budgets"]}[DAY] == 1


def test_top_without_a_terminal_prints_once_and_says_that_nobody_is_there() -> None:
    done = CliRunner().invoke(command_line(), ["ledger", "top", "--quota", free_addresses(1)[0]])
    assert done.exit_code == Exit.UNREACHABLE
    assert "cannot reach the quota service" in done.output


async def spent(world: World) -> None:
    await world.apply(*(reserve(name, GROQ) for name in ("a", "b")))
    await world.apply(settle("a", labels={"team": "search, etc"}), settle("b"))


async def test_spend_is_a_table_with_a_total(world: World, capsys: Capture) -> None:
    await spent(world)
    assert await spend.show(spend.Wish(("vendor", "label:team")), world.address, as_json=False) is Exit.DONE
    head, *rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert head[:2] == ["vendor", "label:team"]
    assert rows[0] == ["groq", "1", "1", "200", "100", "$0.0000006"]
    assert rows[1] == ["groq", "search,", "etc", "1", "1", "200", "100", "$0.0000006"]
    assert rows[-1] == ["total", "2", "2", "400", "200", "$0.0000012"]
    assert await spend.show(spend.Wish(()), world.address, as_json=False) is Exit.DONE
    assert capsys.readouterr().out.splitlines()[-1].split() == ["total", "2", "2", "400", "200", "$0.0000012"]


async def test_spend_as_csv_is_read_by_any_reader_of_csv(world: World, capsys: Capture) -> None:
    await spent(world)
    await spend.show(spend.Wish(("tenant", "label:team"), as_csv=True), world.address, as_json=False)
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["tenant"], row["label:team"], row["cost_nanos"], row["cost_usd"]) for row in rows] == [
        ("team", "", "600", "0.0000006"),
        ("team", "search, etc", "600", "0.0000006"),
    ]


async def test_spend_of_other_days_or_tenants_is_left_out(world: World, capsys: Capture) -> None:
    await spent(world)
    for wish in (spend.Wish(to_day="2020-01-01"), spend.Wish(tenant="nobody"), spend.Wish(from_day="2999-01-01")):
        await spend.show(wish, world.address, as_json=True)
        assert json.loads(capsys.readouterr().out)["rows"] == []


async def test_a_column_there_is_not_is_refused_with_those_there_are(world: World) -> None:
    with pytest.raises(MeshError, match=r"`colour`; allowed: day, tenant, .*outcome, label:<name>"):
        await spend.show(spend.Wish(("colour",)), world.address, as_json=False)
