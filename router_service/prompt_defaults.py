"""What a use case says in the place of a caller who said nothing."""

from llmmesh.chat.v1 import chat_pb2

from catalog.model import UseCase


def filled(prompt: chat_pb2.Prompt, use_case: UseCase) -> chat_pb2.Prompt:
    """Return the prompt with the use case's defaults where the caller said nothing."""
    if use_case.temperature is None and use_case.max_output_tokens is None and not use_case.system:
        return prompt
    told = chat_pb2.Prompt()
    told.CopyFrom(prompt)
    if use_case.temperature is not None and not prompt.sampling.HasField("temperature"):
        told.sampling.temperature = use_case.temperature
    if use_case.max_output_tokens is not None and not prompt.sampling.HasField("max_output_tokens"):
        told.sampling.max_output_tokens = use_case.max_output_tokens
    if use_case.system and not any(message.role == chat_pb2.ROLE_SYSTEM for message in prompt.messages):
        system = chat_pb2.Message(role=chat_pb2.ROLE_SYSTEM)
        system.parts.add().text.text = use_case.system
        told.messages.insert(0, system)
    return told
