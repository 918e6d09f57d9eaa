"""Finds the wire a row's dialect word stands for."""

from collections.abc import Callable

from provider_services.simulator.ask import Wire
from provider_services.simulator.identity import Identity
from provider_services.simulator.rows import VendorRow
from provider_services.simulator.wire_gemini import GeminiWire
from provider_services.simulator.wire_ollama import OllamaWire
from provider_services.simulator.wire_openai import OpenAIWire

WIRES: dict[str, Callable[[VendorRow, Identity], Wire]] = {
    "openai": OpenAIWire,
    "gemini": GeminiWire,
    "ollama": OllamaWire,
}
