"""Finds the keys of a vendor in the environment and tells usable ones from missing and malformed ones."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, count, filterfalse
from typing import Literal

from catalog.model import Vendor
from meshkit.secret import Secret

_TEMPLATE = re.compile(
    r"(your|my|votre|replace|change|insert|put|enter|add)[-_ ].*|(your|votre).*(key|token|cle).*|.*[-_ ]here|"
    r"(.*[-_.])?x{4,}|.*\.\.\.|<.*>|\$?\{.*\}|todo|none|null|changeme",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class KeyState:
    """Whether a key can be used, and for people why not; never any part of the key."""

    state: Literal["ok", "missing", "malformed"]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class EnvironmentKeys:
    """The keys of a vendor by slot, and what is odd about the variables they were read from."""

    slots: Mapping[int, Secret]
    warnings: tuple[str, ...] = ()


def check_key(vendor: Vendor, value: str) -> KeyState:
    """Tell whether a key can be right, without asking the vendor; template values count as missing."""
    if vendor.auth.kind == "none":
        return KeyState("ok")
    if is_template(value):
        return KeyState("missing", "no API key")
    if not value.isascii() or any(character.isspace() or not character.isprintable() for character in value):
        return KeyState("malformed", "the key has characters no key has, such as a space or a line break")
    if vendor.key_format and not re.fullmatch(vendor.key_format, value):
        return KeyState("malformed", f"the key does not look like one of {vendor.display_name} ({vendor.key_format})")
    return KeyState("ok")


def is_template(value: str) -> bool:
    """Tell whether a value is empty or was left as an example file had it (your-…, votre_…, xxxx, …-here)."""
    return not value.strip() or _TEMPLATE.fullmatch(value.strip()) is not None


def slots_from_env(vendor: Vendor, env: Mapping[str, str]) -> dict[int, Secret]:
    """Return the keys of a vendor by slot; template values are left out. A vendor without keys has slot 1."""
    return dict(read_keys(vendor, env).slots)


def read_keys(vendor: Vendor, env: Mapping[str, str]) -> EnvironmentKeys:
    """Read KEY, KEY_2, KEY_3 … as slots 1, 2, 3 …, under every name the vendor's keys may have.

    The first of several names wins. The further keys of a list (`a,b,c`) take the lowest slots that are free.
    """
    if vendor.auth.kind == "none":
        return EnvironmentKeys({1: Secret("")})
    found: dict[int, tuple[str, str]] = {}
    warnings: list[str] = []
    for name in vendor.key_env:
        for slot, variable, value in _variables(name, env):
            earlier = found.setdefault(slot, (variable, value))
            if earlier[1] != value:
                warnings.append(f"{earlier[0]} and {variable} differ: {earlier[0]} is used")
    return EnvironmentKeys(_spread({slot: value for slot, (_, value) in found.items()}), tuple(warnings))


def _variables(name: str, env: Mapping[str, str]) -> Iterator[tuple[int, str, str]]:
    """Name the variables of one name that hold something: (slot, variable, value)."""
    numbered = re.compile(rf"{name}_([1-9][0-9]{{0,3}})")
    slots = {1: name} | {int(hit[1]): hit[0] for key in env if (hit := numbered.fullmatch(key)) and hit[1] != "1"}
    for slot, variable in sorted(slots.items()):
        value = env.get(variable, "").strip()
        if not is_template(value):
            yield slot, variable, value


def _spread(values: Mapping[int, str]) -> dict[int, Secret]:
    """Give every key of every list a slot of its own: the first its variable's, the others the lowest free ones."""
    lists = {slot: keys for slot, value in sorted(values.items()) if (keys := _split(value))}
    slots = {slot: keys[0] for slot, keys in lists.items()}
    free = filterfalse(slots.__contains__, count(1))
    for key in chain.from_iterable(keys[1:] for keys in lists.values()):
        slots[next(free)] = key
    return {slot: Secret(key) for slot, key in sorted(slots.items())}


def _split(value: str) -> list[str]:
    """Return the keys of a list, template values left out."""
    return [key for part in value.split(",") if not is_template(key := part.strip())]
