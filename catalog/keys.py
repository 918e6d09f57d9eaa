"""Finds the keys of a vendor in the environment and tells usable ones from missing and malformed ones.

A key fills the slot of its number: NAME_2 is slot 2, and so is the second key of a list in NAME. A vendor may have
several names; its first name beats the others, and a numbered variable beats a list.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from catalog.model import Catalog, Vendor
from meshkit.secret import HIDDEN, Secret

_TEMPLATE = re.compile(
    r"(your|my|votre|replace|change|insert|put|enter|add)[-_ ].*|(your|votre).*(key|token|cle).*|.*[-_ ]here|"
    r"(.*[-_.])?x{4,}|.*\.\.\.|<.*>|\$?\{.*\}|todo|none|null|changeme",
    re.IGNORECASE,
)
# What may be a key within a longer text: with the letters some keys have and names and URLs are joined by, and without.
_WORDS = (re.compile(r"[A-Za-z0-9_.+/=-]{8,}"), re.compile(r"[A-Za-z0-9_-]{8,}"))
_SEPARATOR = re.compile(r"\s*,\s*|\s*\n\s*")
_QUOTES = "\"'`"


@dataclass(frozen=True, slots=True)
class KeyState:
    """Whether a key can be used, and for people why not; never any part of the key."""

    state: Literal["ok", "missing", "malformed"]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A key and where it stands: "GROQ_API_KEY_2", or "key 2 of GROQ_API_KEY"."""

    place: str
    key: Secret


@dataclass(frozen=True, slots=True)
class EnvironmentKeys:
    """The keys of a vendor by slot, and what is odd about the variables they were read from."""

    slots: Mapping[int, FoundKey]
    warnings: tuple[str, ...] = ()


def check_key(vendor: Vendor, value: str) -> KeyState:
    """Tell whether a key can be right, without asking the vendor; template values count as missing."""
    if vendor.auth.kind == "none":
        return KeyState("ok")
    if is_template(value):
        return KeyState("missing", "no API key")
    problem = _problem(vendor, value)
    return KeyState("malformed", problem) if problem else KeyState("ok")


def _problem(vendor: Vendor, value: str) -> str:
    """Say why a text cannot be a key of the vendor and what would be; nothing when it can."""
    if "," in value or "\n" in value:
        return f"holds several keys; a list of keys belongs in {vendor.key_env[0]}"
    if value[0] in _QUOTES or value[-1] in _QUOTES:
        return "stands in quotes that are part of the value; write the key without them"
    if not value.isascii() or any(character.isspace() or not character.isprintable() for character in value):
        return "has characters no key has, such as a space; several keys are separated by commas"
    if vendor.key_format and not re.fullmatch(vendor.key_format, value):
        return f"does not look like a key of {vendor.display_name}; allowed: {vendor.key_format}"
    return ""


def is_template(value: str) -> bool:
    """Tell whether a value is empty or was left as an example file had it (your-…, votre_…, xxxx, …-here)."""
    return not value.strip() or _TEMPLATE.fullmatch(value.strip()) is not None


def variable_of(vendor: Vendor, slot: int) -> str:
    """Name the variable that holds the key of a slot."""
    return vendor.key_env[0] if slot == 1 else f"{vendor.key_env[0]}_{slot}"


def holds_key(names: Iterable[str], variable: str) -> bool:
    """Tell whether a variable is, or was meant to be, one of those that hold the keys of these names."""
    return re.sub(r"(S|_?[0-9]+)$", "", variable) in names or variable in names


def hide_keys(text: str, catalog: Catalog) -> str:
    """Return a text without what looks like a key of a vendor: somebody may have put one where it does not belong.

    Forms that also fit names of models are of no use for that.
    """
    forms = [vendor.key_format for vendor in catalog.vendors.values() if vendor.key_format]
    models = [ref.model for ref in catalog.refs()]
    telling = [form for form in map(re.compile, forms) if not any(map(form.fullmatch, models))]

    def shown(word: re.Match[str]) -> str:
        return HIDDEN if any(form.fullmatch(word[0]) for form in telling) else word[0]

    for words in _WORDS:
        text = words.sub(shown, text)
    return text


def read_keys(vendor: Vendor, env: Mapping[str, str]) -> EnvironmentKeys:
    """Read the keys of all slots, under every name the vendor's keys may have."""
    if vendor.auth.kind == "none":
        return EnvironmentKeys({1: FoundKey("", Secret(""))})
    found: dict[int, tuple[str, str]] = {}
    warnings: list[str] = []
    for name in vendor.key_env:
        for slot, place, value in _named(name, env):
            earlier = found.setdefault(slot, (place, value))
            if earlier[1] != value:
                warnings.append(f"{earlier[0]} and {place} differ: {earlier[0]} is used for slot {slot}")
        warnings += _misspelt(name, env)
    slots = {slot: FoundKey(place, Secret(value)) for slot, (place, value) in sorted(found.items())}
    return EnvironmentKeys(slots, tuple(warnings))


def _named(name: str, env: Mapping[str, str]) -> Iterator[tuple[int, str, str]]:
    """Tell what the variables of one name hold, the numbered ones first: (slot, place, value)."""
    for slot, variable in sorted((int(hit[1]), hit[0]) for hit in map(_numbered(name).fullmatch, env) if hit):
        if not is_template(value := env[variable].strip()):
            yield slot, variable, value
    listed = _SEPARATOR.split(env.get(name, "").strip())
    for slot, value in enumerate(listed, start=1):
        if not is_template(value):
            yield slot, name if len(listed) == 1 else f"key {slot} of {name}", value


def _misspelt(name: str, env: Mapping[str, str]) -> Iterator[str]:
    """Tell of variables that are not read although somebody may think so, such as NAMES, NAME2 and NAME_0."""
    for variable in sorted(env):
        meant = variable != name and not _numbered(name).fullmatch(variable) and holds_key((name,), variable)
        if meant and not is_template(env[variable]):
            yield f"{variable} is not read; several keys are {name}=key1,key2 or {name}, {name}_2, {name}_3 …"


def _numbered(name: str) -> re.Pattern[str]:
    return re.compile(rf"{re.escape(name)}_([1-9][0-9]{{0,3}})")
