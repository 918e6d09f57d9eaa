"""HTTP wire formats, sans-IO: the dialects by the name a catalogue row gives them."""

from collections.abc import Mapping

from provider_services.dialects.anthropic.dialect import AnthropicDialect
from provider_services.dialects.cohere.dialect import CohereDialect
from provider_services.dialects.gemini.dialect import GeminiDialect
from provider_services.dialects.interface import Dialect
from provider_services.dialects.ollama.dialect import OllamaDialect
from provider_services.dialects.openai.dialect import OpenAiDialect
from provider_services.dialects.responses.dialect import ResponsesDialect

DIALECTS: Mapping[str, Dialect] = {
    "openai": OpenAiDialect(),
    "anthropic": AnthropicDialect(),
    "gemini": GeminiDialect(),
    "cohere": CohereDialect(),
    "ollama": OllamaDialect(),
    "responses": ResponsesDialect(),
}
