"""What must be nowhere: prompts and answers after a run, keys outside the process of their vendor."""

import json
import re
from pathlib import Path

import pytest
import yaml
from fixtures.canary import leaks, leaks_below
from fixtures.every_path import ANSWERED, ASKED, CALLER_KEY, everything
from fixtures.sandbox_mesh import ROOT
from fixtures.unseen import where_found

from catalog.mesh import load_mesh
from deploy.workloads import served
from llm_mesh.environment import environments
from meshkit.secret import Secret
from provider_services.slots import Line, read_slots

# Whichever test comes first waits for a mesh to be led down every path and killed bit by bit.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def left(tmp_path_factory, spans, tracing):
    """Lead a mesh with a marked key of every vendor down every path and return what it said and left."""
    found = everything(tmp_path_factory.mktemp("left"), tracing)
    found.spans = repr(spans._spans)
    return found


@pytest.mark.product("P-OPS-13")
@pytest.mark.parametrize("marked", [ASKED, ANSWERED])
def test_a_marked_prompt_and_its_answer_are_found_nowhere_after_a_run(left, marked):
    assert "chat gpt-4o" in left.spans
    assert "mesh_requests_total" in left.metrics
    assert where_found(['"event":"request"'], left.directory) != []
    assert where_found([marked], left.directory) == []
    assert marked not in left.metrics
    assert marked not in left.spans


@pytest.mark.product("P-OPS-14", "P-OPS-15")
@pytest.mark.parametrize("where", ["errors", "printed", "metrics", "spans", "targets", "bodies"])
def test_no_key_nor_a_part_of_one_is_in_what_a_mesh_says_on_any_path(left, where):
    said = getattr(left, where)
    assert leaks("\n".join(said) if where == "targets" else said, [*left.keys.values(), CALLER_KEY]) == []


@pytest.mark.product("P-OPS-14", "P-OPS-15")
def test_no_key_nor_a_part_of_one_is_in_a_file_a_mesh_leaves_not_even_at_the_debug_level(left):
    logs = "".join(file.read_text() for file in left.directory.rglob("*.log*"))
    for proof in ('"level":"debug"', '"event":"vendor_call"', '"event":"key_rejected"', "Fatal Python error: Aborted"):
        assert proof in logs
    assert leaks_below(left.directory, [*left.keys.values(), CALLER_KEY]) == []


@pytest.mark.product("P-OPS-15")
def test_a_key_that_a_vendor_repeats_is_redacted_whole_masked_or_cut(left):
    assert "Incorrect API key provided: ***. Bearer *** *** *** *** *** *** *** ***" in left.errors
    ends = [key[-4:] for key in left.keys.values()]
    assert [end for end in ends if re.search(rf"(\*{{3}}|\.{{3}}|…){end}", left.errors)] == []


def test_what_must_be_nowhere_would_be_found(left):
    key = left.keys["OPENAI_API_KEY"]
    assert len(leaks(f"sk-{key[7:16]}", left.keys.values())) == 2
    (left.directory / "planted").write_text(f"... {key[9:17]} ...")
    assert len(leaks_below(left.directory, left.keys.values())) == 1
    (left.directory / "planted").unlink()


@pytest.mark.product("P-OPS-15")
def test_every_key_is_present_in_the_process_of_its_vendor_alone(partial, catalogue):
    holders = {name: set() for name in partial.keys}
    pids = {name: partial.mesh.pid(name) for name in partial.mesh.names}
    pids["up"] = partial.mesh.process.pid  # read them from .env and handed each to its vendor
    for process, pid in pids.items():
        proc = Path(f"/proc/{pid}")
        environment = proc.joinpath("environ").read_text()
        command = proc.joinpath("cmdline").read_text()
        for name, key in partial.keys.items():
            assert key not in command
            if key in environment:
                holders[name].add(process)
    of_vendor = {name: vendor.id for vendor in catalogue.vendors.values() for name in vendor.key_env}
    for name, processes in holders.items():
        assert processes == {f"provider-{of_vendor[re.sub('_2$', '', name)]}"}, name


@pytest.mark.product("P-OPS-15")
def test_the_containers_of_the_deployment_have_the_key_of_their_vendor_alone(catalogue):
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
    known = {name: vendor.id for vendor in catalogue.vendors.values() for name in vendor.key_env}
    holders = {
        (service, known[name])
        for service, settings in compose["services"].items()
        for name in settings.get("environment", {})
        if name in known
    }
    deployed = {vendor.id for vendor in served(catalogue.vendors.values())}
    assert holders == {(f"provider-{vendor}", vendor) for vendor in known.values() if vendor in deployed}


@pytest.mark.product("P-OPS-15")
def test_what_holds_a_key_does_not_show_it(partial, catalogue):
    mesh = load_mesh(None, {})
    key = partial.keys["GROQ_API_KEY"]
    slots = read_slots(catalogue.vendors["groq"], mesh, partial.keys)
    assert slots.states[0].key.reveal() == key
    found = environments(catalogue, {}, partial.keys)
    assert found.keys["GROQ_API_KEY"] == key
    for holder in (Secret(key), slots, found, Line(None, Secret(key))):
        assert key not in repr(holder)
        assert key not in str(holder)
        assert key not in json.dumps(holder, default=str)
