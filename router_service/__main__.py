"""Runs the router service on its own: `python -m router_service`."""

import os
from pathlib import Path

from catalog.mesh import default_path, load_mesh
from meshkit import process
from router_service.app import serve

if __name__ == "__main__":
    mesh = load_mesh(default_path(os.environ, Path.cwd()), os.environ)
    process.run(lambda stop: serve(mesh, stop))
