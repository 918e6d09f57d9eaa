"""Knows the input items of the responses dialect, and refuses a turn that lacks what the vendor wants back."""

from collections.abc import Callable, Iterator, Mapping
from typing import Literal
from zlib import crc32

from msgspec import Struct

from provider_services.simulator.ask import RefusalError
from provider_services.simulator.identity import is_own
from provider_services.simulator.rows import ModelRow

PLAIN_KINDS = frozenset({"message", "function_call", "function_call_output"})


class Rules(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What one host of this dialect insists on, and where it listens."""

    chat_paths: tuple[str, ...] = ("/responses",)
    embed_path: str = "/embeddings"
    models_path: str = "/models"
    retired_paths: tuple[str, ...] = ()
    plain_input: bool = False
    least_output: int = 1
    refused_on_reasoning: tuple[str, ...] = ()
    unknown_fields: tuple[str, ...] = ()
    state: Literal["reasoning", "thought_signature"] = "reasoning"
    always_shows_reasoning: bool = False
    search: Literal["call", "results"] = "call"
    failed_events: bool = False
    named_events: bool = True
    done: bool = False
    item_ids_change: bool = False
    vectors: Literal["float", "base64_int8"] = "float"
    cost: bool = False


class Content(Struct):
    """A part of a message."""

    type: str
    text: str = ""
    refusal: str = ""


class Item(Struct):
    """Any input item; which fields it needs depends on its type."""

    type: str = ""
    role: str = ""
    content: str | list[Content] | None = None
    id: str = ""
    call_id: str = ""
    name: str = ""
    arguments: str = ""
    output: str | list[Content] = ""
    encrypted_content: str | None = None
    thought_signature: str = ""

    def texts(self) -> Iterator[str]:
        """Yield all that counts as text."""
        for given in (self.content, self.output):
            if isinstance(given, str):
                yield given
            for part in given if isinstance(given, list) else ():
                yield part.text or part.refusal
        yield self.name + self.arguments


def seal(identity: str) -> str:
    """Return the state of an item: what nobody but the vendor can make of its id."""
    return f"gAAAAA{crc32(f'sealed {identity}'.encode()):08x}=="


def check_items(items: list[Item], model: ModelRow, rules: Rules, vendor: str) -> None:
    """Refuse items the vendor does not know, calls without results, results without calls, and turns without state."""
    if rules.plain_input and (wrong := [item.type for item in items if item.type not in PLAIN_KINDS]):
        raise RefusalError("bad_request", message=f"input: unknown item type '{wrong[0]}'", param="input")
    called = [item.call_id for item in items if item.type == "function_call"]
    answered = [item.call_id for item in items if item.type == "function_call_output"]
    if lonely := [call_id for call_id in answered if call_id not in called]:
        message = f"No tool call found for function call output with call_id {lonely[0]}."
        raise RefusalError("bad_request", message=message, param="input")
    if waiting := [call_id for call_id in called if call_id not in answered]:
        message = f"No tool output found for function call {waiting[0]}."
        raise RefusalError("bad_request", message=message, param="input")
    _STATES[rules.state](items, model, vendor)


def _check_reasoning(items: list[Item], model: ModelRow, vendor: str) -> None:
    """Refuse reasoning that is not whole, and a turn of our own that comes without its reasoning."""
    reasoned = False
    for item in items:
        if item.type == "reasoning":
            _check_sealed(item)
            reasoned = True
        elif item.type == "function_call":
            if model.signed and is_own(item.call_id, vendor) and not reasoned:
                name = item.id or item.call_id
                message = f"Item '{name}' of type 'function_call' was provided without its required 'reasoning' item."
                raise RefusalError("bad_request", message=message, param="input")
        elif item.type == "function_call_output" or item.role == "user":
            reasoned = False


def _check_sealed(item: Item) -> None:
    if not item.encrypted_content:
        message = f"Item with id '{item.id}' not found. Items are not persisted when `store` is set to false."
        raise RefusalError("not_stored", message=message, param="input")
    if item.encrypted_content != seal(item.id):
        message = "The encrypted content could not be verified."
        raise RefusalError("bad_request", message=message, param="input")


def _check_signatures(items: list[Item], model: ModelRow, vendor: str) -> None:
    """Refuse a call of our own that comes without its signature."""
    for item in items if model.signed else ():
        if (
            item.type == "function_call"
            and is_own(item.call_id, vendor)
            and item.thought_signature != seal(item.call_id)
        ):
            message = f"Function call {item.name} is missing a thought_signature."
            raise RefusalError("bad_request", message=message, param="input")


_STATES: Mapping[str, Callable[[list[Item], ModelRow, str], None]] = {
    "reasoning": _check_reasoning,
    "thought_signature": _check_signatures,
}
