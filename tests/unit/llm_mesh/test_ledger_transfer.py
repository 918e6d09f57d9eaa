"""`llm-mesh ledger export` and `import`: from a running quota service into a file, and into an empty store."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import Result
from fixtures.quota_house import GROQ, MESH, reserve, running, settle
from fixtures.valkey import fresh_prefix, shared
from llmmesh.quota.v1 import quota_pb2 as pb
from typer.testing import CliRunner

from llm_mesh.cli.app import command_line
from llm_mesh.cli.ledger import transfer, verify
from llm_mesh.cli.outcome import Exit, UnreachableError
from llm_mesh.ports import free_addresses
from meshkit.errors import StartError

Capture = pytest.CaptureFixture[str]
DAY, MONTH = "groq/default/requests/day", "tenant/team/nanodollars/month"


@pytest.fixture
async def exported(tmp_path: Path, capsys: Capture) -> Path:
    """An export of a ledger with something settled, something open and an override."""
    file = tmp_path / "ledger.jsonl"
    async with running(tmp_path) as world:
        await world.apply(reserve("ended", GROQ), reserve("open", GROQ))
        await world.apply(settle("ended", labels={"team": "search"}))
        await world.stub.SetOverride(
            pb.SetOverrideRequest(budget=DAY, limit=5, author="ann", reason="a try"), timeout=10
        )
        assert await transfer.save(file, world.address, as_json=True) is Exit.DONE
    told = json.loads(capsys.readouterr().out)
    assert told["lines"] == len(lines_of(file))
    assert json.loads(lines_of(file)[-1])["sha256"] == told["sha256"]
    return file


async def imported(directory: Path, file: Path, *, config: str = MESH, **variables: str) -> Result:
    words = ["ledger", "import", str(file), "--config", configured(directory, config), "--json"]
    return await asyncio.to_thread(CliRunner().invoke, command_line(), words, env=variables)


def configured(directory: Path, config: str) -> str:
    (directory / "new.yaml").write_text(config)
    return str(directory / "new.yaml")


def spoil(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b'"used":600', b'"used":599'))


def names_in(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def lines_of(file: Path) -> list[str]:
    return file.read_text().splitlines()


async def test_a_file_moves_the_ledger_into_a_new_file(tmp_path: Path, exported: Path) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    variables = {"MESH_LEDGER_PATH": str(moved / "l.db")}
    done = await imported(tmp_path, exported, **variables)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout.splitlines()[-1])
    assert (told["store"], told["holds"], told["overrides"], told["spend"]) == ("sqlite", 1, 1, 1)
    async with running(moved) as world:
        day = await world.budget(DAY)
        assert (day.used, day.held, day.limit, day.declared_limit) == (1, 1, 5, 10)
        assert await verify.show(world.address, as_json=True) is Exit.DONE
        (ended,) = await world.apply(settle("open"))
        assert ended.HasField("done")
        rows = (await world.stub.QuerySpend(pb.QuerySpendRequest(group_by=["label:team"]), timeout=10)).rows
        assert [(dict(row.labels), row.attempts) for row in rows] == [({"team": ""}, 1), ({"team": "search"}, 1)]
    again = await imported(tmp_path, exported, **variables)
    assert again.exit_code == Exit.FAILED
    assert "the ledger's file is not empty: import into a new one" in again.output


async def test_a_file_moves_the_ledger_into_a_shared_store(tmp_path: Path, exported: Path) -> None:
    config = MESH + f'ledger: {{prefix: "{fresh_prefix()}"}}\n'
    variables = {"MESH_LEDGER_URL": shared().url.reveal()}
    done = await imported(tmp_path, exported, config=config, **variables)
    assert done.exit_code == 0, done.output
    async with running(tmp_path, variables, mesh_yaml=config) as world:
        day = await world.budget(DAY)
        assert (day.used, day.held, day.limit) == (1, 1, 5)
        assert await verify.show(world.address, as_json=True) is Exit.DONE
    again = await imported(tmp_path, exported, config=config, **variables)
    assert again.exit_code == Exit.FAILED
    assert "the store is not empty: import under another prefix" in again.output


async def test_a_ledger_in_use_takes_nothing_in(tmp_path: Path, exported: Path) -> None:
    async with running(tmp_path) as world:
        done = await imported(tmp_path, exported, MESH_LEDGER_PATH=str(tmp_path / "l.db"))
        assert done.exit_code == Exit.FAILED
        assert "l.db is in use by process" in done.output
        assert (await world.budget(DAY)).used == 1


async def test_a_changed_file_is_refused_and_leaves_the_store_empty(tmp_path: Path, exported: Path) -> None:
    spoil(exported)
    path = tmp_path / "moved.db"
    done = await imported(tmp_path, exported, MESH_LEDGER_PATH=str(path))
    assert done.exit_code == Exit.FAILED
    assert "it was changed" in done.output
    assert not path.exists()


async def test_an_export_overwrites_nothing_and_leaves_nothing_half_done(tmp_path: Path) -> None:
    file = Path(configured(tmp_path, "mine"))
    address = free_addresses(1)[0]
    with pytest.raises(StartError, match="exists; choose another name"):
        await transfer.save(file, address, as_json=False)
    with pytest.raises(UnreachableError, match="cannot reach the quota service"):
        await transfer.save(tmp_path / "new.jsonl", address, as_json=False)
    with pytest.raises(StartError, match=r"cannot write /nowhere/new\.jsonl: No such file or directory"):
        await transfer.save(Path("/nowhere/new.jsonl"), address, as_json=False)
    assert names_in(tmp_path) == ["new.yaml"]


async def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    done = await imported(tmp_path, tmp_path / "nowhere.jsonl")
    assert done.exit_code == Exit.FAILED
    assert "cannot read" in done.output


def test_an_export_that_broke_off_is_not_whole() -> None:
    received = transfer.Received()
    assert not received.whole
    received.take(b'{"kind":"header"}\n')
    assert not received.whole
    received.take(b'{"kind":"end","lines":1,"sha256":"0"}\n')
    assert not received.whole
