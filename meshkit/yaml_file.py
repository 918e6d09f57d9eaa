"""Reads a YAML file into a strict model and says of every mistake in which line it is and what would be right."""

import re
import types
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from meshkit.errors import StartError

ModelT = TypeVar("ModelT", bound=BaseModel)
Location = tuple[str | int, ...]
# In C where the platform has it: seven times as fast.
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class StrictModel(BaseModel):
    """A part of a configuration file: nothing unknown, nothing converted, nothing changed afterwards."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class ConfigError(StartError):
    """One mistake in a configuration file: where it is, what is wrong, what would be right."""

    def __init__(self, file: str, line: int, key: str, problem: str, allowed: str = "") -> None:
        self.file, self.line, self.key, self.problem, self.allowed = file, line, key, problem, allowed
        place = f"{file}:{line}" if line else file
        super().__init__(": ".join(filter(None, (place, key, problem))) + (f"; allowed: {allowed}" if allowed else ""))


def wrong(problem: str, allowed: str = "") -> PydanticCustomError:
    """Make the error a validator raises for a value that is wrong."""
    return PydanticCustomError("wrong", "{problem}", {"problem": problem, "allowed": allowed})


@dataclass
class Document:
    """The content of a configuration file and the place of every key in it."""

    name: str
    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[Location, int] = field(default_factory=dict)
    origins: dict[Location, str] = field(default_factory=dict)

    def override(self, location: Sequence[str], value: Any, origin: str) -> None:
        """Put a value in the place of the file's own; mistakes in it are reported against `origin`."""
        place: dict[str, Any] = self.data
        for key in location[:-1]:
            if not isinstance(place.get(key), dict):
                place[key] = {}
            place = place[key]
        place[location[-1]] = value
        self._forget(tuple(location))
        self.origins[tuple(location)] = origin

    def replace(self, location: Location, other: "Document", theirs: Location) -> None:
        """Put what another file says at a place into this one's; null takes the key away.

        Mistakes in it are reported against the line and the key of the other file.
        """
        place, value = _within(self.data, location[:-1]), _within(other.data, theirs)
        self._forget(location)
        if value is None:
            place.pop(location[-1], None)
            return
        place[location[-1]] = value
        for there, line in other.lines.items():
            if there[: len(theirs)] == theirs:
                key = ".".join(map(str, there))
                self.origins[(*location, *there[len(theirs) :])] = f"{other.name}:{line}: {key}"

    def _forget(self, location: Location) -> None:
        """Forget where a place and everything below it was written."""
        for known in (self.lines, self.origins):
            for place in [place for place in known if place[: len(location)] == location]:
                del known[place]

    def error(self, location: Iterable[str | int], problem: str, allowed: str = "") -> ConfigError:
        """Make the error for a mistake at a key, or at the nearest key above it that exists."""
        place = tuple(location)
        key = ".".join(str(part) for part in place)
        while place and place not in self.lines and place not in self.origins:
            place = place[:-1]
        if place in self.origins:
            return ConfigError(self.origins[place], 0, "", problem, allowed)
        return ConfigError(self.name, self.lines.get(place, 1), key, problem, allowed)

    def validate(self, model: type[ModelT]) -> ModelT:
        """Return the content as that model.

        Raises:
            ConfigError: the first mistake in the order of the file.
        """
        try:
            return model.model_validate(self.data)
        except ValidationError as error:
            # A misspelt key is also a missing one: the misspelling is the mistake to report.
            faults = [(fault["type"] == "missing", self._explain(model, fault)) for fault in error.errors()]
        raise min(faults, key=lambda fault: (fault[0], fault[1].line))[1]

    def _explain(self, model: type[BaseModel], fault: ErrorDetails) -> ConfigError:
        """Turn one fault pydantic found into the sentence a person needs."""
        location = tuple(part for part in fault["loc"] if part != "[key]")
        context = fault.get("ctx", {})
        match fault["type"]:
            case "extra_forbidden":
                return self.error(location, "unknown key", ", ".join(_keys_at(model, location[:-1])))
            case "missing":
                return self.error(location, "required key is missing")
            case "wrong":
                return self.error(location, context["problem"], context["allowed"])
            case "dict_type" | "model_type" | "model_attributes_type":
                keys = ", ".join(_keys_at(model, location)) or "key: value"
                return self.error(location, "must be a mapping of keys", keys)
            case "literal_error":
                words = re.findall(r"'([^']*)'", context["expected"])
                problem = f"`{fault['input']}` is not known" + _nearest(str(fault["input"]), words)
                return self.error(location, problem, context["expected"])
        said = fault["input"]
        plain = isinstance(said, str | int | float | bool)
        return self.error(location, fault["msg"].replace("Input", f"`{said}`" if plain else "it", 1))


def read(path: Path) -> Document:
    """Read a YAML file without judging what it says.

    Raises:
        ConfigError: no such file, not YAML, a key twice, or no mapping at the top.
    """
    try:
        text = path.read_text(encoding="utf-8")
        node = _compose(text)
    except OSError as error:
        raise ConfigError(str(path), 0, "", f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(str(path), 0, "", "is not UTF-8 text") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise ConfigError(str(path), line, "", f"is not YAML: {error.problem}") from error
    document = Document(str(path))
    if node is not None:
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(str(path), 1, "", "the file must be a mapping of keys")
        document.data = _Builder(document).mapping(node, ())
    return document


def load(path: Path, model: type[ModelT]) -> ModelT:
    """Read a YAML file as that model.

    Raises:
        ConfigError: the first mistake in the order of the file.
    """
    return read(path).validate(model)


def _compose(text: str) -> yaml.Node | None:
    """Return the tree of a YAML text; of one that is none, the slower reader tells better what is wrong and where."""
    try:
        return yaml.compose(text, Loader=LOADER)
    except yaml.MarkedYAMLError:
        return yaml.compose(text, Loader=yaml.SafeLoader)


def _within(data: Any, location: Location) -> Any:
    """Return what is at a place."""
    for part in location:
        data = data[part]
    return data


class _Builder:
    """Turns YAML nodes into plain values and notes the line of every key."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._scalars = yaml.constructor.SafeConstructor()

    def value(self, node: yaml.Node, location: Location) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, location)
        if isinstance(node, yaml.SequenceNode):
            return [self._item(item, (*location, place)) for place, item in enumerate(node.value)]
        return self._scalar(node, location)

    def mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        """Return a mapping of text keys; numbers as keys become their text."""
        content: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)
            place = (*location, key)
            if key in content:
                raise self._refusal(place, key_node, "the key is there twice")
            self._document.lines[place] = key_node.start_mark.line + 1
            content[key] = self.value(value_node, place)
        return content

    def _item(self, node: yaml.Node, location: Location) -> Any:
        self._document.lines[location] = node.start_mark.line + 1
        return self.value(node, location)

    def _scalar(self, node: yaml.Node, location: Location) -> Any:
        try:
            value = self._scalars.construct_object(node)
        except (ValueError, yaml.YAMLError) as error:
            raise self._refusal(location, node, f"`{node.value}` cannot be read") from error
        if value is not None and not isinstance(value, str | int | float | bool | date):
            raise self._refusal(location, node, f"`{node.value}` has a type that is not used here")
        return value

    def _refusal(self, location: Location, node: yaml.Node, problem: str) -> ConfigError:
        key = ".".join(str(part) for part in location)
        return ConfigError(self._document.name, node.start_mark.line + 1, key, problem)


def _nearest(said: str, known: Sequence[str]) -> str:
    """Say which word was probably meant; nothing when none is like it."""
    return "".join(f", nearest: `{word}`" for word in get_close_matches(said, known, n=1, cutoff=0.5))


def _keys_at(model: type[BaseModel], location: Location) -> list[str]:
    """Name the keys a model allows at a place within it."""
    place: Hashable | None = model
    for part in location:
        place = _step(place, str(part))
    return sorted(place.model_fields) if isinstance(place, type) and issubclass(place, BaseModel) else []


def _step(place: Any, key: str) -> Any:
    """Follow one key of a location into the type of what is there."""
    if isinstance(place, type) and issubclass(place, BaseModel):
        known = place.model_fields.get(key)
        return None if known is None else _bare(known.annotation)
    if get_origin(place) in (dict, Mapping):
        return _bare(get_args(place)[1])
    if get_origin(place) in (list, tuple):
        return _bare(get_args(place)[0])
    return None


def _bare(annotation: Any) -> Any:
    """Return the type inside Optional and Annotated."""
    while True:
        if get_origin(annotation) in (Union, types.UnionType):
            annotation = next(part for part in get_args(annotation) if part is not type(None))
        elif hasattr(annotation, "__metadata__"):
            annotation = get_args(annotation)[0]
        else:
            return annotation
