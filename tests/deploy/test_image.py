"""The image builds from the locks and runs a service as nobody, with a root it does not need to write."""

import json
import os
import shutil
import subprocess
import urllib.request
from pathlib import Path

import pytest
from fixtures import observation

ROOT = Path(__file__).resolve().parents[2]
MISSING = [program for program in ("buildah", "debootstrap") if shutil.which(program) is None]
pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (apt install buildah debootstrap)"),
    pytest.mark.skipif(os.geteuid() != 0, reason="a base image without a registry needs root"),
]
BASE, IMAGE = "localhost/llm-mesh-base", "localhost/llm-mesh:tested"
CERTIFICATES = "/etc/ssl/certs:/etc/ssl/certs:ro"  # whom this machine trusts, the build trusts too


def run(*command, seconds=900):
    environment = {**os.environ, "STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=seconds, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout.strip()


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    place = tmp_path_factory.mktemp("base") / "root"
    packages = "--include=python3,python3-venv,ca-certificates"
    run("debootstrap", "--variant=minbase", packages, "bookworm", str(place), "http://deb.debian.org/debian")
    run("tar", "-C", str(place), "-cf", f"{place}.tar", ".")
    container = run("buildah", "from", "scratch")
    run("buildah", "add", container, f"{place}.tar", "/")
    run("buildah", "commit", "--rm", container, BASE)
    flags = ("--pull-never", "--volume", CERTIFICATES, "--build-arg", f"BASE={BASE}")
    run("buildah", "bud", *flags, "-f", "deploy/Dockerfile", "-t", IMAGE, ".")
    yield IMAGE
    run("buildah", "rmi", "--force", IMAGE, BASE)


@pytest.fixture
def container(image):
    name = run("buildah", "from", "--pull-never", image)
    yield name
    run("buildah", "rm", name)


def test_the_image_runs_as_nobody_and_knows_every_vendor(container):
    assert run("buildah", "run", container, "--", "id", "-u") == "10001"
    count = "from catalog.loader import load_catalog; print(len(load_catalog().vendors))"
    rows = [path for path in (ROOT / "catalog").glob("*.yaml") if path.stem != "use_cases"]
    assert run("buildah", "run", container, "--", "python", "-c", count) == str(len(rows))


def test_the_entry_point_is_the_command_line(container):
    config = json.loads(run("buildah", "inspect", container))["OCIv1"]["config"]
    assert config["Entrypoint"] == ["llm-mesh"]
    assert config["User"] == "10001:10001"


def test_what_is_installed_cannot_be_written_by_the_one_who_runs_it(container):
    script = "for path in / /opt/llm-mesh /usr /etc; do touch $path/x 2>/dev/null && echo $path; done; true"
    assert run("buildah", "run", container, "--", "sh", "-c", script) == ""


def test_a_service_becomes_ready_in_the_image(container, tmp_path):
    admin, listen = (f"127.0.0.1:{observation.free_port()}" for _ in range(2))
    variables = ("--env", f"MESH_QUOTA_ADMIN={admin}", "--env", f"MESH_QUOTA_LISTEN={listen}")
    command = ["buildah", "run", *variables, container, "--", "timeout", "60", "llm-mesh", "serve", "quota"]
    environment = {**os.environ, "STORAGE_DRIVER": "vfs", "BUILDAH_ISOLATION": "chroot"}

    def ready():
        try:
            with urllib.request.urlopen(f"http://{admin}/readyz", timeout=2) as reply:
                return reply.status == 200
        except OSError:
            return False

    with observation.program(command, tmp_path / "quota.log", env=environment):
        observation.wait_until(ready, 30, "the quota service to be ready")
