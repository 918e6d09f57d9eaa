"""Writes what is deployed once per vendor from the catalogue: python -m deploy.generate [--check]."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from catalog.loader import load_catalog
from catalog.model import Vendor
from deploy import compose, dashboard, workloads

ROOT = Path(__file__).resolve().parent
ORIGIN = "# Generated from the catalogue by `make gen`; change the row or deploy/{source}, not this file.\n"


class _Plain(yaml.SafeDumper):
    """Writes every mapping out in full: anchors would hide what a reader of one workload needs."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def as_yaml(documents: Iterable[Mapping[str, Any]], source: str) -> str:
    """Render documents with a note of where they come from."""
    text = yaml.dump_all(documents, Dumper=_Plain, sort_keys=False, width=120)
    return ORIGIN.format(source=source) + text


def files(vendors: Iterable[Vendor]) -> dict[str, str]:
    """Render every generated file, by its path below deploy/."""
    rows = workloads.served(vendors)
    here = "kustomize/base/vendors"
    made = {f"{here}/{vendor.id}.yaml": as_yaml(workloads.of(vendor), "workloads.py") for vendor in rows}
    made[f"{here}/kustomization.yaml"] = as_yaml([workloads.listing(rows)], "workloads.py")
    made["compose.yaml"] = as_yaml([compose.project(rows, [*servers_of(rows), ledger_store()])], "compose.py")
    made["grafana/llm-mesh.json"] = dashboard.as_json()
    return made


def servers_of(vendors: Iterable[Vendor]) -> Iterator[dict[str, Any]]:
    """Read the compose services of the model servers of our own, from <vendor>/compose.yaml."""
    for vendor in vendors:
        if vendor.local and (file := ROOT / vendor.id / "compose.yaml").is_file():
            yield yaml.safe_load(file.read_text(encoding="utf-8"))


def ledger_store() -> dict[str, Any]:
    """Read the compose service of the store several quota services share."""
    described: dict[str, Any] = yaml.safe_load((ROOT / "valkey" / "compose.yaml").read_text(encoding="utf-8"))
    return described


def stale(made: Mapping[str, str], root: Path = ROOT) -> list[str]:
    """Name the files that are missing, differ, or belong to a vendor that has no row any more."""
    wrong = [name for name, text in made.items() if not (root / name).is_file() or (root / name).read_text() != text]
    left = {path.relative_to(root).as_posix() for path in (root / "kustomize/base/vendors").glob("*.yaml")} - set(made)
    return sorted([*wrong, *left])


def write(made: Mapping[str, str], root: Path = ROOT) -> None:
    """Bring the files to what the catalogue says."""
    for name in stale(made, root):
        path = root / name
        if name in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made[name], encoding="utf-8")
        else:
            path.unlink()


def main(arguments: list[str]) -> int:
    """Write the files, or with --check only say which are stale."""
    try:
        made = files(load_catalog().vendors.values())
    except ValueError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    wrong = stale(made)
    if "--check" not in arguments:
        write(made)
        return 0
    sys.stdout.writelines(f"deploy/{name} is stale: make gen\n" for name in wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
