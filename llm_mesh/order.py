"""What the command line asks of `llm-mesh up`."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Wishes:
    """Addresses asked for; empty means no wish."""

    router: str = ""
    quota: str = ""
    edge: str = ""
    simulator: str = ""
    port_base: int = 0
    free_ports: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be started."""

    wishes: Wishes
    config: Path | None = None
    sandbox: bool = False
    isolated: bool = False


@dataclass(frozen=True, slots=True)
class Manner:
    """How it is run and told of."""

    logs_to_stderr: bool = False
    as_json: bool = False
