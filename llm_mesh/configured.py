"""Where a mesh started in this directory would read its catalogue."""

import os
from pathlib import Path

from catalog.mesh import catalog_place, default_path
from llm_mesh.env_file import ENV_FILE, read_env_file


def configured_place() -> Path | None:
    """Return the rows or the snapshot that mesh.yaml, .env or the environment name; None: the shipped rows.

    Raises:
        ConfigError: a file cannot be read.
    """
    seen = {**read_env_file(ENV_FILE), **os.environ}
    return catalog_place(default_path(seen, Path.cwd()), seen)
