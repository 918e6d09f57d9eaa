"""Runs the simulator as a program: `python -m provider_services.simulator --port 7490`."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import yaml

from provider_services.simulator.rows import VendorRow, load_rows
from provider_services.simulator.running import without_latency
from provider_services.simulator.server import create_app, serving


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal says stop; 2 means the configuration is no good."""
    options = _options(arguments)
    try:
        rows = load_rows(options.config)
    except (OSError, yaml.YAMLError, msgspec.ValidationError) as error:
        print(f"simulator: {options.config}: {error}", file=sys.stderr)  # noqa: T201
        return 2
    served = _serve(without_latency(rows) if options.no_latency else rows, options)
    try:
        import uvloop  # noqa: PLC0415 - optional: a faster loop where it can be had

        uvloop.run(served)
    except ImportError:
        asyncio.run(served)
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulator", description="A fake internet of LLM vendors over real HTTP.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7490)
    parser.add_argument("--config", type=Path, help="YAML laid over the shipped rows: vendors: {<name>: {...}}")
    parser.add_argument("--no-latency", action="store_true", help="every vendor answers at once")
    parser.add_argument("--seed", type=int, default=7, help="words, ids and jitter follow from it")
    return parser.parse_args(arguments)


async def _serve(rows: tuple[VendorRow, ...], options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    app = create_app(rows, seed=options.seed)
    async with serving(app, options.host, options.port) as port:
        vendors = ", ".join(row.name for row in rows)
        print(f"simulator: http://{options.host}:{port} plays {vendors}", flush=True)  # noqa: T201
        await stop.wait()


if __name__ == "__main__":
    sys.exit(main())
