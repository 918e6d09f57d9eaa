"""Finds the wire a row's dialect word stands for: the file `wire_<dialect>.py` next to this one."""

from collections.abc import Callable
from importlib import import_module

from provider_services.simulator.ask import Wire
from provider_services.simulator.identity import Identity
from provider_services.simulator.rows import VendorRow


def wire_for(row: VendorRow, identity: Identity) -> Wire:
    """Return the wire that speaks the vendor's dialect.

    Raises:
        ModuleNotFoundError: there is no such dialect.
    """
    build: Callable[[VendorRow, Identity], Wire] = import_module(f"{__package__}.wire_{row.dialect}").WIRE
    return build(row, identity)
