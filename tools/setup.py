"""Makes the virtual environment of the project from hashed requirements, once per change of them."""

# Runs on any Python 3 that may be on a fresh machine, so that a too old one can be told what it is.
import argparse
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)
LAYERS = {"runtime": ("runtime",), "dev": ("dev", "runtime")}  # a stamp of any of these is enough


def fail(message):
    """Stop with a sentence that says what to do."""
    sys.exit("setup: " + message)


def fingerprint(layer):
    """Name the contents of everything the layer is installed from."""
    digest = hashlib.sha256()
    project = (ROOT / "pyproject.toml").read_text().split("[tool.ruff]")[0]
    digest.update(project.encode())
    for name in ("bootstrap.txt", layer + ".txt"):
        digest.update((ROOT / "requirements" / name).read_bytes())
    return digest.hexdigest()


def stamp_of(venv, layer):
    """Give the file that remembers what the layer was installed from."""
    return venv / "stamps" / layer


def is_fresh(venv, layer):
    """Tell whether the layer, or one that contains it, is installed as the requirements stand now."""
    names = ("runtime", "dev") if layer == "runtime" else ("dev",)
    stamps = ((stamp_of(venv, name), name) for name in names)
    return any(stamp.is_file() and stamp.read_text() == fingerprint(name) for stamp, name in stamps)


def check_interpreter():
    """Refuse a Python the project cannot run on, saying how to get one it can."""
    found = "%d.%d" % sys.version_info[:2]
    if sys.version_info < OLDEST:
        fail(
            "Python %d.%d or newer is needed, this is %s (%s). Install one (Debian: apt install python3 python3-venv) "
            "or name one: make PYTHON3=python3.12 ..." % (*OLDEST, found, sys.executable)
        )
    try:
        import ensurepip  # noqa: F401, PLC0415 - Debian ships Python without it
        import venv  # noqa: F401, PLC0415
    except ImportError:
        fail("this Python cannot make virtual environments. On Debian or Ubuntu: apt install python%s-venv" % found)


def run(*command, **extra_environment):
    """Run one program from the project's root, showing its output."""
    environment = {**os.environ, **extra_environment}
    return subprocess.run([str(part) for part in command], cwd=ROOT, env=environment, check=False).returncode == 0  # noqa: S603


def install(python, layer):
    """Install the layer with uv, or with pip where uv will not install."""
    pip = (python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--require-hashes", "-r")
    requirements = "requirements/%s.txt" % layer
    if not run(*pip, "requirements/bootstrap.txt"):
        fail("pip could not install requirements/bootstrap.txt; is a package index reachable?")
    uv = (python, "-m", "uv", "pip", "install", "--quiet", "--python", python, "--require-hashes", "-r", requirements)
    if not run(*uv):
        print("setup: uv could not install the requirements; trying pip", flush=True)
        if not run(*pip, requirements):
            fail("neither uv nor pip could install %s" % requirements)
    project = (python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index")
    if not run(*project, "--no-build-isolation", "--no-deps", "--editable", "."):
        fail("the project itself could not be installed into %s" % python)


def main():
    """Bring the virtual environment to the state the requirements describe."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("layer", choices=sorted(LAYERS))
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv")
    arguments = parser.parse_args()
    venv, layer = arguments.venv.resolve(), arguments.layer
    if is_fresh(venv, layer):
        return
    check_interpreter()
    python = venv / "bin" / "python"
    if not python.exists():
        shutil.rmtree(venv, ignore_errors=True)
        print("setup: making %s with Python %s" % (venv, sys.version.split()[0]), flush=True)
        if not run(sys.executable, "-m", "venv", venv):
            fail("could not make the virtual environment (Debian or Ubuntu: apt install python3-venv)")
    print("setup: installing requirements/%s.txt" % layer, flush=True)
    install(python, layer)
    stamp_of(venv, layer).parent.mkdir(exist_ok=True)
    stamp_of(venv, layer).write_text(fingerprint(layer))


if __name__ == "__main__":
    main()
