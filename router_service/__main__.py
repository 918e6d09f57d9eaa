"""Runs the router service on its own: `python -m router_service`."""

import os

from catalog.configuration import Configuration
from meshkit import process
from router_service.app import serve

if __name__ == "__main__":
    configuration = Configuration(None, os.environ)
    mesh = configuration.load()
    process.run(lambda stop: serve(mesh, stop, configuration))
