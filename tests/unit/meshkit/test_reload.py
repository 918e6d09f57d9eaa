"""What a watcher takes, what it keeps out, and what it says of both."""

import os
from pathlib import Path

import pytest
from fixtures.eventually import eventually
from prometheus_client import REGISTRY

from meshkit.errors import MeshError, Reason, StartError
from meshkit.reload import Watched, Watcher, stamp_of


class Desk:
    """A file on the disk, the watcher that looks at it, and what was taken of it."""

    def __init__(self, directory: Path, name: str) -> None:
        self.path = directory / "file"
        self.name = name
        self.taken: list[str] = []
        self.refusal: Exception | None = None
        self.written = 0
        self.reads = 0
        self.write("good 0")
        self.watcher = Watcher()
        self.watched = Watched(name, self.stamp, self.read, self.take, self.stamp())
        self.watcher.watch(self.watched)

    def write(self, text: str) -> None:
        self.written += 1  # no two contents have one length: clocks of disks are coarse
        self.path.write_text(text + "#" * self.written, encoding="utf-8")

    def stamp(self) -> tuple[object, ...]:
        return stamp_of([self.path])

    def read(self) -> str:
        self.reads += 1
        text = self.path.read_text(encoding="utf-8").rstrip("#")
        if text.startswith("bad"):
            raise StartError(f"{text} is wrong")
        if text.startswith("defect"):
            raise ZeroDivisionError(text)
        return text

    async def take(self, text: str) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.taken.append(text)

    async def looked(self, times: int = 2) -> "Desk":
        for _ in range(times):
            await self.watcher.look()
        return self

    def metric(self, name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, {"file": self.name, **labels}) or 0.0


@pytest.fixture
def desk(tmp_path: Path, request: pytest.FixtureRequest) -> Desk:
    return Desk(tmp_path, request.node.name)


async def test_what_has_not_changed_is_not_read(desk):
    await desk.looked(5)
    assert (desk.reads, desk.taken) == (0, [])
    assert desk.metric("mesh_config_valid") == desk.metric("mesh_config_generation") == 1


async def test_a_change_is_taken_once_and_told(desk):
    desk.write("good 1")
    await desk.looked(5)
    assert (desk.reads, desk.taken, desk.watched.generation) == (1, ["good 1"], 2)
    assert desk.watcher.notes() == {}
    assert desk.metric("mesh_config_reloads_total", outcome="taken") == 1
    assert desk.metric("mesh_config_generation") == 2
    assert desk.metric("mesh_config_last_success_timestamp_seconds") > 0


async def test_a_file_is_left_alone_while_somebody_writes_it(desk):
    for number in range(5):
        desk.write(f"half {number}")
        await desk.looked(1)
    assert desk.reads == 0
    await desk.looked(1)
    assert desk.taken == ["half 4"]


async def test_what_is_written_while_it_is_read_is_read_again(desk):
    desk.write("good 1")
    await desk.looked(1)
    read = desk.watched.read

    def read_late() -> str:
        text = read()
        if text == "good 1":
            desk.write("good 2")
        return text

    desk.watched.read = read_late
    await desk.looked(4)
    assert desk.taken == ["good 2"]


async def test_a_mistake_keeps_what_was_taken_last_and_is_told_until_it_is_mended(desk):
    desk.write("bad 1")
    await desk.looked(6)
    assert (desk.reads, desk.taken) == (1, [])
    assert desk.watcher.notes() == {desk.name: "the last good one stays in use: bad 1 is wrong"}
    assert desk.metric("mesh_config_valid") == 0
    assert desk.metric("mesh_config_reloads_total", outcome="kept") == 1
    assert desk.metric("mesh_config_generation") == 1
    desk.write("good 2")
    await desk.looked()
    assert (desk.taken, desk.watcher.notes()) == (["good 2"], {})
    assert desk.metric("mesh_config_valid") == 1


async def test_what_cannot_be_taken_because_of_what_it_says_waits_for_a_change(desk):
    desk.refusal = StartError("it contradicts itself")
    desk.write("good 1")
    await desk.looked(6)
    assert desk.reads == 1
    assert "contradicts" in desk.watcher.notes()[desk.name]


async def test_what_cannot_be_taken_just_now_is_tried_again_by_itself(desk):
    desk.refusal = MeshError(Reason.QUOTA_UNAVAILABLE, "the disk is full")
    desk.write("good 1")
    await desk.looked(4)
    assert desk.watcher.notes() == {desk.name: "the last good one stays in use: the disk is full"}
    assert desk.metric("mesh_config_reloads_total", outcome="kept") == 1
    desk.refusal = None
    await desk.looked(1)
    assert (desk.taken, desk.watcher.notes()) == (["good 1"], {})


async def test_a_defect_in_reading_ends_no_watching_and_shows_nothing_of_the_file(desk, capsys):
    desk.write("defect secret-1")
    await desk.looked()
    assert "its log has the details" in desk.watcher.notes()[desk.name]
    assert "secret-1" not in capsys.readouterr().err
    desk.write("good 2")
    await desk.looked()
    assert desk.taken == ["good 2"]


async def test_a_file_that_is_gone_is_a_change(desk):
    desk.path.unlink()
    desk.watched.read = lambda: (_ for _ in ()).throw(StartError("cannot be read"))
    await desk.looked()
    assert "cannot be read" in desk.watcher.notes()[desk.name]


def test_a_link_that_is_turned_is_a_change_although_no_file_was_written(tmp_path):
    """As Kubernetes does it: file -> ..data/file, ..data -> ..of_a_moment, and only ..data is replaced."""
    for moment in ("..one", "..two"):
        (tmp_path / moment).mkdir()
        (tmp_path / moment / "mesh.yaml").write_text("{}", encoding="utf-8")
    os.utime(tmp_path / "..two/mesh.yaml", ns=(0, (tmp_path / "..one/mesh.yaml").stat().st_mtime_ns))
    (tmp_path / "..data").symlink_to("..one")
    (tmp_path / "mesh.yaml").symlink_to("..data/mesh.yaml")
    before = stamp_of([tmp_path / "mesh.yaml"])
    (tmp_path / "..new").symlink_to("..two")
    (tmp_path / "..new").rename(tmp_path / "..data")
    assert stamp_of([tmp_path / "mesh.yaml"]) != before


def test_what_waits_for_a_restart_is_told_while_it_differs(capsys):
    watcher = Watcher()
    watcher.needs_restart(("ledger.store", "tenants"))
    watcher.needs_restart(("ledger.store",))
    assert watcher.notes() == {"restart": "changed, needs a restart: ledger.store"}
    assert REGISTRY.get_sample_value("mesh_config_restart_needed", {"key": "ledger.store"}) == 1
    assert REGISTRY.get_sample_value("mesh_config_restart_needed", {"key": "tenants"}) == 0
    assert capsys.readouterr().err.count("changed, needs a restart: ledger.store") == 1
    watcher.needs_restart(())
    assert watcher.notes() == {}
    assert REGISTRY.get_sample_value("mesh_config_restart_needed", {"key": "ledger.store"}) == 0


async def test_a_watcher_looks_by_itself_while_it_is_entered(tmp_path):
    desk = Desk(tmp_path, "by itself")
    seen = []

    async def take(text: str) -> None:
        seen.append(text)

    watcher = Watcher(every=0.005)
    watcher.watch(Watched("by itself", desk.stamp, desk.read, take, desk.watched.taken))
    async with watcher:
        desk.write("good 1")
        await eventually(lambda: seen == ["good 1"])
        await eventually(lambda: seen == ["good 1"])
