"""Chooses ports and checks them before anything starts, so that a taken one is told in a sentence, not in a log."""

import errno
import secrets
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from meshkit.admin import split_address
from meshkit.errors import StartError

LOOPBACK = "127.0.0.1"
# Below those that the system gives to outgoing connections: one of these could take a port between choice and use.
CHOICE = range(21_000, 32_000)
EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - compared with, not listened on


@dataclass(frozen=True, slots=True)
class Listener:
    """One address somebody is going to listen on, and how a person chooses another one."""

    address: str
    purpose: str
    change: str


def dialled(address: str) -> str:
    """Return the address a client on this machine dials for one that is listened on."""
    host, port = split_address(address)
    if host in EVERYWHERE:
        return f"{LOOPBACK}:{port}"
    return address


def free_addresses(count: int, host: str = LOOPBACK) -> list[str]:
    """Return that many addresses with ports nobody listens on, all different.

    Two meshes that start at the same time begin at different places. Raises StartError when there are not so many.
    """
    begin = secrets.randbelow(len(CHOICE))
    free = (port for port in (*CHOICE[begin:], *CHOICE[:begin]) if not _why_not(host, port))
    ports = list(islice(free, count))
    if len(ports) < count:
        raise StartError(f"{host} has {len(ports)} free ports between {CHOICE.start} and {CHOICE.stop}, not {count}")
    return [f"{host}:{port}" for port in ports]


def check_free(listeners: Iterable[Listener]) -> None:
    """Check that every address can be listened on.

    Raises:
        StartError: names each port that cannot, who needs it and how to choose another.
    """
    found = list(problems(listeners))
    if found:
        raise StartError("\n".join(found))


def problems(listeners: Iterable[Listener]) -> Iterator[str]:
    """Name each port that cannot be listened on, who needs it and how to choose another."""
    taken: dict[int, Listener] = {}
    for listener in listeners:
        host, port = split_address(listener.address)
        if other := taken.get(port):
            yield f"port {port} is wanted by the {other.purpose} and by the {listener.purpose}: {listener.change}"
            continue
        taken[port] = listener
        if problem := _why_not(host, port):
            yield f"port {port} {problem}, and the {listener.purpose} needs it: {listener.change}"


def _why_not(host: str, port: int) -> str:
    """Return why nobody can listen there, or nothing."""
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror:
        return f"cannot be opened because the host {host} is not known"
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(place)
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return "is in use"
            return f"cannot be opened on {host} ({error.strerror})"
    return ""
