"""Starts the quota service: `python -m quota_service`."""

import asyncio
import os
import sys

from catalog.configuration import Configuration
from meshkit import process, tracing
from meshkit.errors import StartError
from quota_service.app import serve


async def main(stop: asyncio.Event) -> None:
    """Load the configuration of this directory and environment, and serve until stopped."""
    configuration = Configuration(None, os.environ)
    mesh = configuration.load()
    telemetry = mesh.telemetry
    provider = tracing.start(
        "llm-mesh-quota", otlp_endpoint=telemetry.otlp_endpoint, sample_ratio=telemetry.sample_ratio
    )
    try:
        await serve(mesh, mesh.catalog, stop, configuration=configuration)
    finally:
        if provider is not None:
            provider.shutdown()


if __name__ == "__main__":
    try:
        process.run(main)
    except StartError as error:
        sys.exit(f"quota_service: {error}")
