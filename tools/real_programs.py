"""Finds the programs the real tests need, installs below var/real what it may, and says what is missing and why."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / "var" / "real"
BIN = HOME / "bin"
DEADLINE = 600.0


def find(program: str) -> str | None:
    """Give the path of a program, ours or the system's."""
    return shutil.which(program, path=os.pathsep.join([str(BIN), os.environ.get("PATH", "")]))


def _run(*command: str, cwd: Path = ROOT) -> str:
    """Run a command; give nothing when it worked, else its last words."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed commands of this file
            command, cwd=cwd, capture_output=True, text=True, timeout=DEADLINE, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    words = (done.stderr.strip() or done.stdout.strip() or f"{command[0]} ended with {done.returncode}").splitlines()
    return "" if done.returncode == 0 else next((word for word in words if "error" in word.lower()), words[-1])


def _offer(path: Path) -> None:
    """Make a program, or a library, found below var/real known by its name."""
    BIN.mkdir(parents=True, exist_ok=True)
    path.chmod(0o755)  # libraries come without, and are looked for like programs
    link = BIN / path.name
    link.unlink(missing_ok=True)
    link.symlink_to(path)


def unpacked(package: str, *programs: str) -> Callable[[], str]:
    """Install by unpacking a Debian package beside the system: no root, and no service is started."""

    def install() -> str:
        if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
            return f"no apt-get here; install {package} and run again"
        place = HOME / package
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        problem = _run("apt-get", "download", package, cwd=place)
        if problem and os.geteuid() == 0:
            problem = _run("apt-get", "update") or _run("apt-get", "download", package, cwd=place)
        archive = next(place.glob("*.deb"), None)
        if problem or archive is None:
            return problem or f"apt-get downloaded no {package}"
        problem = _run("dpkg-deb", "--extract", str(archive), str(place))
        for program in () if problem else programs:
            path = next((each for folder in ("bin", "lib/**") for each in place.glob(f"usr/{folder}/{program}")), None)
            if path is None:
                return f"the package {package} has no {program}"
            _offer(path)
        return problem

    return install


def from_npm(place_of: str, locked: str = "tools/npm", name: str = "npm") -> Callable[[], str]:
    """Install what a folder of ours locks, into one of that name below var/real; offer a program or library of it."""

    def install() -> str:
        if not shutil.which("npm") and os.geteuid() == 0 and shutil.which("apt-get"):
            _run("apt-get", "update")
            _run("apt-get", "install", "--yes", "--no-install-recommends", "npm")
        if not shutil.which("npm"):
            return "npm is not installed (Debian, Ubuntu: apt install npm)"
        place = HOME / name
        place.mkdir(parents=True, exist_ok=True)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(ROOT / locked / file, place / file)
        problem = _run("npm", "ci", "--no-audit", "--no-fund", cwd=place)
        path = next(place.glob(f"node_modules/{place_of}"), None)
        if problem or path is None:
            return problem or f"npm has no {place_of} for this platform"
        _offer(path)
        return ""

    return install


def python_with(requirements: str, name: str) -> Callable[[], str]:
    """Make a virtual environment of hashed requirements, and offer its Python under a name of its own."""

    def install() -> str:
        place = HOME / name
        problem = _run(sys.executable, "-m", "venv", str(place))
        python = place / "bin" / "python"
        # Not the pip of the new environment: older ones take a pinned name with an extra for one that is not pinned.
        pip = (sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(python), "--require-hashes")
        problem = problem or _run(*pip, "-r", str(ROOT / "requirements" / requirements))
        if not problem:
            BIN.mkdir(parents=True, exist_ok=True)
            script = BIN / name  # a link would lose the environment
            script.write_text(f'#!/bin/sh\nexec "{python}" "$@"\n')
            script.chmod(0o755)
        return problem

    return install


def beside_ours(requirements: str, name: str) -> Callable[[], str]:
    """Install hashed requirements into a directory, and offer our own Python with them under a name of its own."""

    def install() -> str:
        place = HOME / name
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--require-hashes")
        problem = _run(*pip, "--upgrade", "--target", str(place), "-r", str(ROOT / "requirements" / requirements))
        if not problem:
            BIN.mkdir(parents=True, exist_ok=True)
            script = BIN / name
            script.write_text(f'#!/bin/sh\nPYTHONPATH="{place}:{ROOT}:{ROOT}/gen" exec "{sys.executable}" "$@"\n')
            script.chmod(0o755)
        return problem

    return install


def installed(package: str) -> Callable[[], str]:
    """Install a Debian package into the system, where we may: it needs libraries beside itself."""

    def install() -> str:
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            return f"not installed (Debian, Ubuntu: apt install {package})"
        command = ("apt-get", "install", "--yes", "--no-install-recommends", package)
        return "" if not _run(*command) else (_run("apt-get", "update") or _run(*command))

    return install


def _not_ours(hint: str) -> Callable[[], str]:
    return lambda: hint


@dataclass(frozen=True)
class Program:
    """One program, what it is for and how it comes here."""

    name: str
    purpose: str
    install: Callable[[], str]


PROGRAMS = (
    Program("prometheus", "scrapes the running mesh", unpacked("prometheus", "prometheus", "promtool")),
    Program("promtool", "checks the scrape configuration", unpacked("prometheus", "prometheus", "promtool")),
    Program("sdk-python", "has the types of the vendors' own clients", python_with("sdks.txt", "sdk-python")),
    Program(
        "schemathesis-python",
        "asks whatever the document allows",
        python_with("schemathesis.txt", "schemathesis-python"),
    ),
    Program("clients-python", "has the clients people already have", python_with("clients.txt", "clients-python")),
    Program("llama-index-python", "has one more client", python_with("llama-index.txt", "llama-index-python")),
    Program("chromium", "shows the console", installed("chromium")),
    Program("browser-python", "drives the browser", beside_ours("browser.txt", "browser-python")),
    Program("fuzz-python", "has the fuzzer of the nightly proofs", beside_ours("fuzz.txt", "fuzz-python")),
    Program("strace", "watches what the ledger writes before it answers", installed("strace")),
    Program(
        "libfaketimeMT.so.1",
        "sets the clock of the ledger back and ahead",
        unpacked("libfaketime", "libfaketimeMT.so.1"),
    ),
    Program("buf", "lints protos and compares them with the last tag", from_npm("@*/*/bin/buf")),
    Program("axe.min.js", "finds what keeps people out of a page", from_npm("axe-core/axe.min.js")),
    Program(
        "protoc-gen-es",
        "makes the stubs of the Node example",
        from_npm("@*/*/bin/protoc-gen-es", "examples/node", "node-example"),
    ),
    Program(
        "kubectl", "builds the overlays", _not_ours("in no package list here; https://kubernetes.io/docs/tasks/tools/")
    ),
)


def main(names: Sequence[str]) -> int:
    """Make sure of these programs, without names of every one; a missing one is a skipped test, not a failure."""
    for program in PROGRAMS:
        if names and program.name not in names:
            continue
        problem = "" if find(program.name) else program.install()
        where = find(program.name)
        found = f"ready:   {program.name} ({where})"
        missing = f"skipped: {program.name}, which {program.purpose}: {problem or 'installed, but not found'}"
        sys.stdout.write((found if where else missing) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
