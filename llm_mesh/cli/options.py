"""The options several commands share, and the intent they describe."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Annotated

import typer
from llmmesh.chat.v1 import chat_pb2
from llmmesh.router.v1 import router_pb2

from llm_mesh.cli.session import QUOTA, ROUTER


class Tier(StrEnum):
    """What a request may cost."""

    FREE = "free"
    ULTRA_ECONOMY = "ultra_economy"
    ECONOMY = "economy"
    STANDARD = "standard"
    PREMIUM = "premium"


class Guarantee(StrEnum):
    """What happens when a stream breaks."""

    FAST = "fast"
    WHOLE = "whole"
    RESTART = "restart"


Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
RouterAddress = Annotated[
    str, typer.Option("--address", envvar="MESH_ROUTER_ADDRESS", metavar="HOST:PORT", help="Where the router is.")
]
QuotaAddress = Annotated[
    str, typer.Option("--quota", envvar="MESH_QUOTA_ADDRESS", metavar="HOST:PORT", help="Where the quota service is.")
]
UseCase = Annotated[str, typer.Option("--use-case", "-u", metavar="NAME", help="What the request is for.")]
TierOption = Annotated[Tier | None, typer.Option("--tier", "-t", help="What the request may cost.")]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="Serve with this model, vendor/model or alias; several are tried in order.",
    ),
]
Strict = Annotated[bool, typer.Option("--strict", help="Refuse instead of substituting another model.")]
Requirements = Annotated[
    list[str] | None,
    typer.Option("--require", metavar="WORD", help="What the model must do: vision, tools, reasoning …"),
]
MaxTokens = Annotated[int | None, typer.Option("--max-tokens", min=1, metavar="N", help="Longest answer, in tokens.")]
Temperature = Annotated[float | None, typer.Option(min=0, max=2, help="0 to 2.")]
Timeout = Annotated[float, typer.Option(min=0.1, help="Longest wait, in seconds.")]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label", metavar="NAME=VALUE", help="What spend can be summed by besides; at most 4."),
]
System = Annotated[str, typer.Option("--system", metavar="TEXT", help="Instructions for the model.")]

__all__ = ["QUOTA", "ROUTER", "Guarantee", "Tier"]


def is_for_subcommand(context: typer.Context) -> bool:
    """Tell whether a command that does something by itself was called for one of its subcommands.

    Raises:
        typer.BadParameter: options stand before the subcommand, which would never see them.
    """
    if context.invoked_subcommand is None:
        return False
    sources = (context.get_parameter_source(name) for name in context.params)
    if any(source is not None and source.name == "COMMANDLINE" for source in sources):
        raise typer.BadParameter(f"options go behind `{context.invoked_subcommand}`")
    return True


def intent(
    use_case: str = "",
    tier: Tier | None = None,
    models: Sequence[str] = (),
    *,
    strict: bool = False,
    requirements: list[str] | None = None,
    labels: Iterable[str] | None = None,
) -> router_pb2.Intent:
    """Return what the options ask for."""
    return router_pb2.Intent(
        use_case=use_case,
        tier=router_pb2.Tier.Value(f"TIER_{tier.upper()}") if tier else router_pb2.TIER_UNSPECIFIED,
        model=models[0] if len(models) == 1 else "",
        candidates=models if len(models) > 1 else (),
        strict=strict,
        requirements=requirements or (),
        labels=_labelled(labels or ()),
    )


def _labelled(words: Iterable[str]) -> Mapping[str, str]:
    """Read labels; the mesh judges their names and values.

    Raises:
        typer.BadParameter: one is not NAME=VALUE, or is there twice.
    """
    labels: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"`{word}`; allowed: NAME=VALUE, such as team=search", param_hint="--label")
        if name in labels:
            raise typer.BadParameter(f"`{name}` is there twice", param_hint="--label")
        labels[name] = value
    return labels


def prompt(
    text: str, system: str = "", *, max_tokens: int | None = None, temperature: float | None = None
) -> chat_pb2.Prompt:
    """Return a conversation of one turn, with instructions when there are any."""
    messages = [_message(chat_pb2.ROLE_SYSTEM, system)] if system else []
    if text:
        messages.append(_message(chat_pb2.ROLE_USER, text))
    sampling = None
    if max_tokens is not None or temperature is not None:
        sampling = chat_pb2.Sampling(max_output_tokens=max_tokens, temperature=temperature)
    return chat_pb2.Prompt(messages=messages, sampling=sampling)


def _message(role: "chat_pb2.Role.ValueType", text: str) -> chat_pb2.Message:
    return chat_pb2.Message(role=role, parts=[chat_pb2.Part(text=chat_pb2.Text(text=text))])
