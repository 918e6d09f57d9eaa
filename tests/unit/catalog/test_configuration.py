"""Which files a configuration is read from, and when they may say something else."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.sandbox_mesh import ROOT

from catalog import restarts
from catalog.configuration import Configuration, tenants_stamp
from catalog.mesh import load_mesh
from catalog.settings import Address
from meshkit.secret import Secret
from meshkit.yaml_file import ConfigError

CASE = "use_cases: {fresh: {default_tier: free, candidates: {free: [groq/openai/gpt-oss-120b]}}}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mesh.yaml"
    path.write_text("{}\n", encoding="utf-8")
    return path


def own_rows(directory: Path) -> Path:
    rows = directory / "rows"
    rows.mkdir()
    for row in (ROOT / "catalog").glob("*.yaml"):
        shutil.copy(row, rows)
    return rows


def test_a_file_that_has_changed_has_another_stamp_and_says_what_it_says_now(file):
    configuration = Configuration(file, {})
    assert "fresh" not in configuration.load().use_cases
    assert configuration.stamp() == configuration.begun
    file.write_text(CASE, encoding="utf-8")
    assert configuration.stamp() != configuration.begun
    assert "fresh" in configuration.read().use_cases


def test_rows_of_ones_own_are_among_the_files(file, tmp_path):
    rows = own_rows(tmp_path)
    file.write_text("catalog: rows\n", encoding="utf-8")
    configuration = Configuration(file, {})
    configuration.load()
    row = rows / "groq.yaml"
    row.write_text(row.read_text(encoding="utf-8") + "# another word\n", encoding="utf-8")
    assert configuration.stamp() != configuration.begun
    before = configuration.stamp()
    (rows / "xai.yaml").unlink()
    assert configuration.stamp() != before


def test_where_the_rows_are_may_change_with_the_file(file, tmp_path):
    configuration = Configuration(file, {})
    configuration.load()
    rows = own_rows(tmp_path)
    file.write_text("catalog: rows\n", encoding="utf-8")
    configuration.read()
    before = configuration.stamp()
    (rows / "xai.yaml").unlink()
    assert configuration.stamp() != before
    file.write_text("catalog: [\n", encoding="utf-8")
    with pytest.raises(ConfigError):
        configuration.read()
    before = configuration.stamp()
    (rows / "groq.yaml").unlink()
    assert configuration.stamp() != before, "the rows that were in use are still looked at"


def test_a_snapshot_and_the_rows_it_is_laid_over_are_among_the_files(file, tmp_path):
    rows = own_rows(tmp_path)
    snapshot = tmp_path / "then.yaml"
    snapshot.write_text("over: rows\n", encoding="utf-8")
    configuration = Configuration(file, {"MESH_CATALOG": str(snapshot)})
    configuration.load()
    snapshot.write_text("over: rows\n# another word\n", encoding="utf-8")
    assert configuration.stamp() != configuration.begun
    before = configuration.stamp()
    (rows / "xai.yaml").unlink()
    assert configuration.stamp() != before


def test_a_file_that_was_not_there_is_read_when_it_comes(tmp_path):
    configuration = Configuration(None, {}, tmp_path)
    assert "fresh" not in configuration.load().use_cases
    (tmp_path / "mesh.yaml").write_text(CASE, encoding="utf-8")
    assert configuration.stamp() != configuration.begun
    assert "fresh" in configuration.read().use_cases


@pytest.mark.parametrize("text", ["", " \n"])
def test_a_file_that_was_emptied_or_taken_away_is_a_mistake_and_not_the_defaults(file, text):
    configuration = Configuration(file, {})
    configuration.load()
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"is empty; allowed: `\{\}`"):
        configuration.read()
    file.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        configuration.read()


def test_a_pepper_belongs_to_the_files_of_tenants(tmp_path):
    path = tmp_path / "tenants.yaml"
    path.write_text("tenants: {}\n", encoding="utf-8")
    before = tenants_stamp(path)
    path.with_suffix(".pepper").write_text("x", encoding="utf-8")
    assert tenants_stamp(path) != before
    before = tenants_stamp(path)
    path.unlink()
    assert tenants_stamp(path) != before


def test_every_process_knows_which_of_its_keys_wait_for_a_restart():
    begun = load_mesh(None, {})
    assert restarts.waiting(restarts.OF_ROUTER, begun, begun) == ()
    elsewhere = replace(
        begun,
        router=Address("127.0.0.1:1", "127.0.0.1:1"),
        ledger=replace(begun.ledger, store="redis", url=Secret("redis://user:password@host")),
    )
    assert restarts.waiting(restarts.OF_ROUTER, begun, elsewhere) == ("addresses.router.listen",)
    assert restarts.waiting(restarts.OF_QUOTA, begun, elsewhere) == ("ledger.store", "ledger.url")
    moved = replace(
        begun, vendors={**begun.vendors, "groq": replace(begun.vendors["groq"], address=Address("a:1", ""))}
    )
    assert restarts.waiting(restarts.of_vendors(("groq", "xai")), begun, moved) == ("vendors.groq.listen",)
