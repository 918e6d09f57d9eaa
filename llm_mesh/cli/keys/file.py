"""Where the tenants file is, and how it is changed: checked first, written whole, readable by its owner only."""

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from catalog.mesh import default_path, load_mesh
from catalog.model import Catalog
from catalog.tenants import PEPPER, Tenants, load_tenants, pepper_path, read_pepper
from llm_mesh.env_file import ENV_FILE, read_env_file
from llm_mesh.tenants_text import NEW, UneditableError
from meshkit.errors import StartError
from meshkit.secret import Secret

USUAL = Path("tenants.yaml")
PRIVATE = 0o600


@dataclass(frozen=True, slots=True)
class TenantsFile:
    """A tenants file; `named` tells whether the configuration names it."""

    path: Path
    catalog: Catalog
    env: Mapping[str, str]
    named: bool

    def read(self) -> Tenants:
        """Return what it says; nothing when it is not there.

        Raises:
            ConfigError: the first mistake.
        """
        return load_tenants(self.path, self.catalog) if self.path.exists() else Tenants()

    def change(self, edit: Callable[[str], str]) -> None:
        """Edit the text; when the outcome has a mistake the file stays as it is.

        Raises:
            StartError: it cannot be edited, or written.
        """
        part = self.path.with_name(f"{self.path.name}.part")
        try:
            text = self.path.read_text(encoding="utf-8") if self.path.exists() else NEW
            mode = self.path.stat().st_mode & 0o777 if self.path.exists() else PRIVATE
            _write(part, edit(text), mode)
            load_tenants(part, self.catalog)
            part.replace(self.path)
        except UneditableError as error:
            raise StartError(f"{self.path}: {error}") from None
        except OSError as error:
            raise StartError(f"cannot write {self.path}: {error.strerror}") from None
        finally:
            part.unlink(missing_ok=True)

    def pepper(self) -> Secret:
        """Return what keys are hashed under, and make it first where there is none."""
        place = pepper_path(self.path)
        if not self.env.get(PEPPER) and not place.exists():
            try:
                _write(place, secrets.token_hex(32) + "\n", PRIVATE)
            except OSError as error:
                raise StartError(f"cannot write {place}: {error.strerror}") from None
        return read_pepper(self.path, self.env)


def find(file: Path | None) -> TenantsFile:
    """Return the file that is named, else the one the configuration of this directory names, else tenants.yaml."""
    seen = {**read_env_file(ENV_FILE), **os.environ}
    mesh = load_mesh(default_path(seen, Path.cwd()), seen)
    path = file or mesh.tenants or USUAL
    named = mesh.tenants is not None and mesh.tenants.absolute() == path.absolute()
    return TenantsFile(path, mesh.catalog, seen, named)


def _write(path: Path, text: str, mode: int) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as opened:
        os.fchmod(opened.fileno(), mode)
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
