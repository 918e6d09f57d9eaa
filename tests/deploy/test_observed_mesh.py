"""A real Prometheus scrapes the running mesh, and every picture on the dashboard has something to show."""

import contextlib
import shutil
import subprocess

import httpx
import pytest
import yaml
from fixtures import observation
from fixtures.manifests import DEPLOY

from deploy import dashboard
from tools.real_programs import find

PROMETHEUS, PROMTOOL = find("prometheus"), find("promtool")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is not installed (make test-real says why)"),
]
ON_THE_PAGE = {"$__rate_interval": "30s", "$__range": "5m", "$use_case": ".*", "$vendor": ".*"}
SHOWN_WITHIN = 40


def asked(expression):
    """Fill in what Grafana fills in."""
    for variable, value in ON_THE_PAGE.items():
        expression = expression.replace(variable, value)
    return expression


def scraping(admin):
    """Take the shipped configuration and scrape the addresses of this run, every second."""
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    config["global"]["scrape_interval"] = "1s"
    config["rule_files"] = [str(DEPLOY / "prometheus/alerts.yml")]
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    for job, settings in jobs.items():
        targets = [url.removeprefix("http://") for name, url in admin.items() if name.startswith(job)]
        assert targets, f"no process of the mesh is a {job}: {admin}"
        settings["static_configs"] = [{"targets": targets}]
    return config


class Caller:
    """Sends requests, and makes one vendor fail so that fallbacks and breakers have something to say."""

    def __init__(self, mesh):
        headers = {"x-llm-mesh-use-case": "conversation", "x-llm-mesh-tier": "standard"}
        self.edge = httpx.Client(base_url=mesh["edge"], headers=headers, timeout=30, trust_env=False)
        self.simulator = httpx.Client(base_url=mesh["simulator"], timeout=10, trust_env=False)

    def ask(self, text="What is a mesh?", stream=False):
        body = {"model": "auto", "stream": stream, "messages": [{"role": "user", "content": text}]}
        return self.edge.post("/v1/chat/completions", json=body)

    def serving(self):
        return self.ask().json()["llm_mesh"]["vendor"]

    def fault(self, vendor, **fault):
        reply = self.simulator.put(f"/_control/vendors/{vendor}/faults", json=[fault] if fault else [])
        assert reply.status_code < 300, reply.text

    def go_through_it_all(self):
        """Have a stream break, an answer longer than held, and a vendor fail until its breaker opens."""
        vendor = self.serving()
        self.fault(vendor, kind="cut", after_tokens=3, times=1)
        self.ask(stream=True)
        self.ask("tokens: 3000")
        self.fault(vendor, kind="status", status=503)
        for _ in range(6):
            self.ask()
        self.fault(vendor)


@pytest.fixture(scope="module")
def observed(tmp_path_factory):
    directory = tmp_path_factory.mktemp("observed")
    with (
        observation.sandbox(directory) as mesh,
        observation.prometheus(PROMETHEUS, scraping(mesh["admin"]), directory) as prometheus,
    ):
        yield Caller(mesh), prometheus


def test_every_process_is_scraped_by_the_shipped_jobs(observed):
    _, prometheus = observed

    def scraped():
        return {sample["metric"]["job"] for sample in prometheus.ask("up == 1")} == {"router", "quota", "provider"}

    observation.wait_until(scraped, SHOWN_WITHIN, "all jobs to be up")


@pytest.mark.product("P-OPS-28")
def test_every_expression_of_the_dashboard_returns_data(observed):
    caller, prometheus = observed
    caller.serving()
    caller.go_through_it_all()
    # A nought in place of nothing is for people; here everything happened, so nothing may be missing.
    empty = {expression.removesuffix(dashboard.OR_NOUGHT) for expression in dashboard.expressions()}

    def shown():
        caller.ask()
        caller.ask(stream=True)
        empty.difference_update([expression for expression in sorted(empty) if prometheus.ask(asked(expression))])
        return not empty

    with contextlib.suppress(observation.TooLateError):
        observation.wait_until(shown, SHOWN_WITHIN, "data for every expression")
    assert not empty, "no data for\n" + "\n".join(sorted(empty))


@pytest.mark.parametrize("name", ["prometheus.yml", "kubernetes.yml"])
def test_promtool_accepts_the_scrape_configuration(name, tmp_path):
    config = yaml.safe_load((DEPLOY / "prometheus" / name).read_text())
    for job in config["scrape_configs"]:
        # Debian builds Prometheus without Kubernetes discovery; the rest of such a job is checked all the same.
        job.pop("kubernetes_sd_configs", None)
    (tmp_path / name).write_text(yaml.safe_dump(config))
    shutil.copy(DEPLOY / "prometheus/alerts.yml", tmp_path)  # its rules are checked with it
    command = [PROMTOOL, "check", "config", str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_finds_nothing_to_complain_of_in_the_metrics_of_any_process(observed):
    _, prometheus = observed
    complaints = []
    for sample in prometheus.ask("up"):
        text = httpx.get(f"http://{sample['metric']['instance']}/metrics", trust_env=False).text
        done = subprocess.run(
            [PROMTOOL, "check", "metrics"], input=text, capture_output=True, text=True, timeout=30, check=False
        )
        ours = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("mesh_", "gen_ai_"))]
        complaints += [f"{sample['metric']['job']}: {line}" for line in ours]
    assert complaints == []
