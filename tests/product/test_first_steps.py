"""Three steps: clone, install, put in the keys one has; and a demo that needs none."""

import re
import subprocess
import sys

import pytest
from fixtures.sandbox_mesh import ROOT, bare_environment

EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")


def block_of(variable):
    """Return the lines around a variable up to the empty ones, of the example file."""
    (found,) = [block for block in EXAMPLE.split("\n\n") if re.search(rf"^(# )?{variable}=", block, re.MULTILINE)]
    return found.splitlines()


@pytest.mark.product("P-CMD-16")
def test_the_example_file_names_every_variable_of_every_vendor_with_a_comment(table, catalogue):
    names = {name for row in table["vendors"] for name in row.get("env", ())}
    names |= {name for vendor in catalogue.vendors.values() for name in vendor.key_env}
    assert len(names) > 25
    for name in names:
        comments = [line for line in block_of(name) if re.match(r"# (?!\w+=)", line)]
        assert comments, f"{name} has no comment"


@pytest.mark.product("P-CMD-16")
def test_every_key_in_the_example_file_counts_as_missing(tmp_path, catalogue):
    (tmp_path / ".env").write_text(EXAMPLE, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "llm_mesh", "doctor"],
        cwd=tmp_path,
        env=bare_environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    keyed = [vendor.id for vendor in catalogue.vendors.values() if vendor.key_env and not vendor.retired_on]
    lines = [line for line in done.stdout.splitlines() if "as the example file has it" in line]
    assert [line.split()[3] for line in lines] == keyed


@pytest.mark.product("P-CMD-16")
def test_make_demo_is_the_demo_that_needs_no_key():
    recipe = subprocess.run(["make", "-n", "demo"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    commands = [line for line in recipe.splitlines() if not line.startswith("make[")]  # said by a make within a make
    assert commands[-1].endswith("llm-mesh demo")


@pytest.mark.product("P-OPS-30")
def test_every_row_that_lives_carries_the_source_and_date_of_its_price_and_limits(catalogue, living):
    for vendor in living:
        for model in vendor.models.values():
            if model.status == "active":
                assert model.source, model.id
                assert re.fullmatch(r"20\d\d-\d\d-\d\d", model.date), model.id
        for plan in vendor.plans.values():
            assert all(limit.date and (limit.source or plan.source) for limit in plan.limits), (vendor.id, plan.name)


@pytest.mark.product("P-OPS-30")
def test_catalog_check_lists_rows_older_than_90_days(tmp_path, catalogue):
    rows = tmp_path / "catalog"
    rows.mkdir()
    for file in (ROOT / "catalog").glob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        if file.name == "groq.yaml":
            text = re.sub(r"date: 20\d\d-\d\d-\d\d", "date: 2026-01-02", text)
        (rows / file.name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "llm_mesh", "catalog", "check", "--catalog", str(rows)],
        cwd=tmp_path,
        env=bare_environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    listed = {tuple(line.split()[:2]) for line in done.stdout.splitlines() if "2026-01-02" in line}
    active = {
        ("groq", f"models.{model.id}")
        for model in catalogue.vendors["groq"].models.values()
        if model.status == "active"
    }
    assert active <= listed
    assert ("groq", "plans.free") in listed
