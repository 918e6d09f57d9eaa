"""What is measured: whole answers and streams, over gRPC, over HTTP, and without the mesh."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from tests.bench.callers import USE_CASE, Call, over_grpc, over_http
from tests.bench.sandbox import VENDOR, Sandbox

TOKEN_MILLISECONDS = 5.0
VENDOR_MODEL = "openai/gpt-oss-120b"
VENDOR_KEY = "gsk_" + "0" * 52


@dataclass(frozen=True)
class Case:
    """One line of the table; `way` is gRPC, HTTP or direct, `callers` how many ask at once."""

    way: str
    stream: bool
    callers: int

    @property
    def name(self) -> str:
        """Return what the table calls it."""
        return f"{self.way} {'stream' if self.stream else 'unary'} c={self.callers}"

    @property
    def shape(self) -> tuple[bool, int]:
        """Return what it has in common with the same case without the mesh."""
        return self.stream, self.callers

    @property
    def token_milliseconds(self) -> float:
        """Return the vendor's pace: streams are paced, whole answers come at once."""
        return TOKEN_MILLISECONDS if self.stream else 0

    def call(self, mesh: Sandbox) -> AbstractAsyncContextManager[Call]:
        """Return the call to make."""
        match self.way:
            case "gRPC":
                return over_grpc(mesh.router, stream=self.stream)
            case "HTTP":
                return over_http(f"{mesh.edge}/v1/chat/completions", f"use_case:{USE_CASE}", "", stream=self.stream)
            case _:
                path = f"{mesh.simulator}/{VENDOR}/openai/v1/chat/completions"
                return over_http(path, VENDOR_MODEL, VENDOR_KEY, stream=self.stream)


SHAPES = ((False, 1), (False, 16), (True, 16))
CASES = tuple(Case(way, stream, callers) for way in ("direct", "gRPC", "HTTP") for stream, callers in SHAPES)
