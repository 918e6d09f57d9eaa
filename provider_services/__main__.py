"""Serves the vendors named on the command line: `python -m provider_services VENDOR [VENDOR …]`."""

import asyncio
import os
import sys

from catalog.configuration import Configuration
from meshkit import process, tracing
from meshkit.errors import StartError
from meshkit.yaml_file import ConfigError
from provider_services.app import serve


async def main(stop: asyncio.Event) -> None:
    """Load the configuration and serve until stopped."""
    names = sys.argv[1:]
    if not names:
        raise StartError("name one vendor or more: python -m provider_services VENDOR [VENDOR …]")
    configuration = Configuration(None, os.environ)
    mesh = configuration.load()
    telemetry = mesh.telemetry
    provider = tracing.start(
        "provider-" + "-".join(names) if len(names) == 1 else "providers",
        otlp_endpoint=telemetry.otlp_endpoint,
        sample_ratio=telemetry.sample_ratio,
    )
    try:
        await serve(mesh, mesh.catalog, names, os.environ, stop, configuration=configuration)
    finally:
        if provider is not None:
            provider.shutdown()


if __name__ == "__main__":
    try:
        process.run(main)
    except (StartError, ConfigError) as error:
        sys.exit(f"provider_services: {error}")
