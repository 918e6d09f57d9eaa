"""The commands that start the mesh and list its models, run as a person would run them."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from fixtures.observation import wait_until
from fixtures.sandbox_mesh import bare_environment, configured

ADDRESS = re.compile(r"^(gRPC|HTTP|quota|simulated vendors|metrics|logs)\s+(\S+)", re.MULTILINE)


@pytest.mark.product("P-CMD-9")
def test_up_prints_addresses_and_every_vendor_active_or_not_and_why_and_stops_cleanly(tmp_path, catalogue):
    variables = configured(tmp_path) | {"LOCAL_MODELS_ENABLED": "false"}
    command = [sys.executable, "-m", "llm_mesh", "up", "--sandbox", "--ports", "auto"]
    out, err = tmp_path / "out", tmp_path / "err"
    with out.open("w") as stdout, err.open("w") as stderr:
        running = subprocess.Popen(
            command, cwd=tmp_path, env=variables, stdout=stdout, stderr=stderr, start_new_session=True
        )
    try:
        wait_until(lambda: "Ready." in out.read_text() or running.poll() is not None, 60, "the mesh")
        told = out.read_text()
        addresses = dict(ADDRESS.findall(told))
        assert {"gRPC", "HTTP", "quota", "simulated vendors", "metrics"} <= set(addresses), told + err.read_text()
        assert httpx.get(f"{addresses['HTTP']}/models", trust_env=False).status_code == 200
        status = {
            line.split()[0]: line.split(maxsplit=2)[2].rstrip()
            for line in told.splitlines()
            if line.split()[:1] and line.split()[0] in catalogue.vendors
        }
        assert set(status) == set(catalogue.vendors)
        ended = {vendor.id: str(vendor.retired_on) for vendor in catalogue.vendors.values() if vendor.retired_on}
        for vendor, words in status.items():
            expected = "inactive" if vendor == "ollama" else "retired" if vendor in ended else "active"
            assert words.split()[0] == expected, words
        for vendor, day in ended.items():
            assert status[vendor].endswith(f"ended on {day}")
        assert status["ollama"].endswith("ollama is disabled by LOCAL_MODELS_ENABLED")
        children = [int(pid) for pid in Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()]
        assert len(children) == 4
    finally:
        running.send_signal(signal.SIGINT)
        assert running.wait(25) == 0, err.read_text()
    assert [pid for pid in children if Path(f"/proc/{pid}").exists()] == []
    assert "killed" not in err.read_text()


@pytest.mark.product("P-CMD-9")
def test_up_says_of_every_vendor_without_a_key_that_it_has_none(empty):
    told = {vendor["id"]: (vendor["status"], vendor["reason"]) for vendor in empty.mesh.vendors}
    assert told["groq"] == ("inactive", "no API key for groq")
    assert told["ollama"] == ("inactive", "ollama is disabled by LOCAL_MODELS_ENABLED")


def listed(done):
    """Return the ids in the first column of a table."""
    assert done.returncode == 0, done.stderr
    return [line.split()[0] for line in done.stdout.splitlines() if "/" in line.partition(" ")[0]]


@pytest.mark.product("P-CMD-11")
@pytest.mark.parametrize(
    ("options", "query"), [([], {}), (["--vendor", "google"], {"vendor": "google"}), (["--all"], {"all": "true"})]
)
def test_models_lists_what_the_http_list_has(partial, options, query):
    there = partial.http.get("/models", params=query).json()["data"]
    assert listed(partial.command("models", *options)) == [model["id"] for model in there]


@pytest.mark.product("P-CMD-11")
def test_models_retired_lists_those_that_ended_with_their_successors(partial):
    there = partial.http.get("/models", params={"all": "true", "vendor": "groq"}).json()["data"]
    ended = {model["id"]: model for model in there if model["status"] == "retired"}
    done = partial.command("models", "--vendor", "groq", "--retired")
    assert listed(done) == list(ended)
    for line in done.stdout.splitlines()[1:]:
        if (words := line.split()) and words[0] in ended:
            assert words[1:] == [ended[words[0]]["shutdown_date"], ended[words[0]]["successor"]]


@pytest.mark.product("P-CMD-11")
def test_models_shows_vendor_status_price_context_and_capabilities(partial):
    line = next(
        line for line in partial.command("models", "--vendor", "groq").stdout.splitlines() if "gpt-oss-120b" in line
    )
    assert line.split(maxsplit=6) == [
        "groq/openai/gpt-oss-120b",
        "active",
        "yes",
        "$0.15",
        "$0.6",
        "131,072",
        "json_object, json_schema, parallel_tools, prompt_caching, reasoning, tools",
    ]


def test_catalog_check_finds_the_shipped_rows_in_order_and_lists_those_older_than_90_days(tmp_path, catalogue):
    command = [sys.executable, "-m", "llm_mesh", "catalog", "check", "--json"]
    done = subprocess.run(
        command, cwd=tmp_path, env=bare_environment(tmp_path), capture_output=True, text=True, check=False
    )
    told = json.loads(done.stdout)
    assert told["vendors"] == 19, done.stderr
    assert told["models"] == sum(len(vendor.models) for vendor in catalogue.vendors.values())
    assert all(each["days"] > 90 and each["source"] for each in told["stale"])
    assert done.returncode == (1 if told["stale"] else 0)
