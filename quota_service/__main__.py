"""Starts the quota service: `python -m quota_service`."""

import sys

from meshkit.errors import StartError
from meshkit.process import run
from quota_service.app import main

if __name__ == "__main__":
    try:
        run(main)
    except StartError as error:
        sys.exit(f"quota_service: {error}")
