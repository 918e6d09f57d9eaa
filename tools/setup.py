"""Makes the virtual environment of the project from hashed requirements, once per change of them."""

# Written to be read by any Python 3.6 or newer, so that a too old one can be told so in a sentence.
import argparse
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST = (3, 11)
LAYERS = {"runtime": ("runtime", "dev"), "dev": ("dev",)}  # what is asked for, and what is enough


def say(sentence: str) -> None:
    """Tell the person waiting what is going on."""
    sys.stdout.write(f"setup: {sentence}\n")
    sys.stdout.flush()


def fail(sentence: str) -> None:
    """Stop with a sentence that says what to do."""
    sys.exit(f"setup: {sentence}")


def fingerprint(layer: str) -> str:
    """Name the contents of everything the layer is installed from."""
    digest = hashlib.sha256()
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("[tool.ruff]")[0]
    digest.update(project.encode())
    for name in ("uv", "build", layer):
        digest.update((ROOT / "requirements" / f"{name}.txt").read_bytes())
    return digest.hexdigest()


def stamp_of(venv: Path, layer: str) -> Path:
    """Give the file that remembers what the layer was installed from."""
    return venv / "stamps" / layer


def is_fresh(venv: Path, layer: str) -> bool:
    """Tell whether the layer, or one that contains it, is installed as the requirements stand now."""
    stamps = ((stamp_of(venv, name), name) for name in LAYERS[layer])
    return any(stamp.is_file() and stamp.read_text(encoding="utf-8") == fingerprint(name) for stamp, name in stamps)


def check_interpreter() -> None:
    """Refuse a Python the project cannot run on, saying how to get one it can."""
    found = ".".join(str(part) for part in sys.version_info[:2])
    if sys.version_info < OLDEST:
        fail(
            f"Python 3.11 or newer is needed, this is {found} ({sys.executable}). Install one "
            "(Debian 12 or newer: apt install python3 python3-venv) or name another: make PYTHON3=python3.12 ..."
        )
    try:
        import ensurepip  # noqa: F401, PLC0415 - Debian ships Python without it
    except ImportError:
        fail(f"this Python cannot make virtual environments. Debian, Ubuntu: apt install python{found}-venv")


def run(*command: str) -> bool:
    """Run one program from the project's root, showing its output."""
    return subprocess.run(command, cwd=str(ROOT), check=False).returncode == 0  # noqa: S603


def install(python: str, layer: str) -> None:
    """Install the layer with uv, or with pip where uv will not install."""
    pip = (python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet")
    uv = (python, "-m", "uv", "pip", "install", "--quiet", "--python", python)
    if not (run(*pip, *hashed("uv")) and run(*uv, *hashed("build")) and run(*uv, *hashed(layer))):
        say("uv could not install the requirements; trying pip, which takes longer")
        if not (run(*pip, *hashed("build")) and run(*pip, *hashed(layer))):
            fail(f"neither uv nor pip could install requirements/{layer}.txt; is a package index within reach?")
    if not run(*pip, "--no-index", "--no-build-isolation", "--no-deps", "--editable", "."):
        fail(f"the project itself could not be installed for {python}")


def hashed(name: str) -> tuple:  # type: ignore[type-arg]  # Python 3.6 cannot subscript it
    """Give the arguments that install one requirements file, refusing what its hashes do not name."""
    return ("--require-hashes", "-r", f"requirements/{name}.txt")


def main() -> None:
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
        shutil.rmtree(str(venv), ignore_errors=True)
        say(f"making {venv} with Python {sys.version.split()[0]}")
        if not run(sys.executable, "-m", "venv", str(venv)):
            fail("could not make the virtual environment (Debian, Ubuntu: apt install python3-venv)")
    say(f"installing requirements/{layer}.txt")
    install(str(python), layer)
    stamp_of(venv, layer).parent.mkdir(exist_ok=True)
    stamp_of(venv, layer).write_text(fingerprint(layer), encoding="utf-8")


if __name__ == "__main__":
    main()
