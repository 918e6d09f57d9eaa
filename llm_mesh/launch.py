"""Runs one service of the mesh as this process: reads the configuration, finds the composition root, serves."""

import asyncio
import importlib
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import typer

from catalog.configuration import Configuration
from catalog.mesh import Mesh
from meshkit import logs, process, tracing
from meshkit.errors import StartError

Main = Callable[[asyncio.Event], Awaitable[None]]


def serve_router(config: Path | None) -> None:
    """Serve the router and its HTTP edge."""
    _serve(config, lambda mesh, files: lambda stop: _root("router_service")(mesh, stop, files))


def serve_quota(config: Path | None) -> None:
    """Serve the ledger."""
    _serve(
        config,
        lambda mesh, files: (
            lambda stop: _traced(
                "llm-mesh-quota", mesh, _root("quota_service")(mesh, mesh.catalog, stop, configuration=files)
            )
        ),
    )


def serve_providers(config: Path | None, names: list[str], admin: str) -> None:
    """Serve the provider services of these vendors, with one admin page at `admin`."""

    def prepare(mesh: Mesh, files: Configuration) -> Main:
        vendors = _known(mesh, names)
        if admin:
            settings = {vendor: replace(mesh.vendors[vendor], admin=admin) for vendor in vendors}
            mesh = replace(mesh, vendors=MappingProxyType({**mesh.vendors, **settings}))
        name = f"llm-mesh-provider-{vendors[0]}" if len(vendors) == 1 else "llm-mesh-providers"
        serve = _root("provider_services")
        environment = dict(os.environ)
        return lambda stop: _traced(
            name, mesh, serve(mesh, mesh.catalog, vendors, environment, stop, configuration=files)
        )

    _serve(config, prepare)


async def _traced(service: str, mesh: Mesh, serving: Awaitable[None]) -> None:
    """Serve and export the spans of it; these composition roots leave that to whoever runs the process."""
    telemetry = mesh.telemetry
    exporter = tracing.start(service, otlp_endpoint=telemetry.otlp_endpoint, sample_ratio=telemetry.sample_ratio)
    try:
        await serving
    finally:
        if exporter is not None:
            exporter.shutdown()


def _serve(config: Path | None, prepare: Callable[[Mesh, Configuration], Main]) -> None:
    """Run a service until it is told to stop; what keeps it from starting is one line."""
    try:
        files = Configuration(config, os.environ)
        mesh = files.load()
        logs.set_level(mesh.telemetry.log_level)
        process.run(prepare(mesh, files))
    except StartError as error:
        sys.stderr.write(f"llm-mesh: {error}\n")
        raise typer.Exit(1) from None


def _known(mesh: Mesh, names: list[str]) -> tuple[str, ...]:
    """Return the ids of the vendors named.

    Raises:
        typer.BadParameter: nobody knows one of them.
    """
    found = []
    for name in names:
        vendor = mesh.catalog.vendor(name)
        if vendor is None:
            raise typer.BadParameter(f"unknown vendor `{name}`; known: {', '.join(mesh.catalog.vendors)}")
        found.append(vendor.id)
    return tuple(dict.fromkeys(found))


def _root(room: str) -> Callable[..., Awaitable[None]]:
    """Return the composition root of a service; only the one that is served is imported."""
    root: Any = importlib.import_module(f"{room}.app")
    serve: Callable[..., Awaitable[None]] = root.serve
    return serve
