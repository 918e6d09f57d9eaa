"""How long an answer may be: as long as was asked, and never longer than the model can write."""

from provider_services.dialects.interface import Call
from provider_services.dialects.notes import Notes


def asked(call: Call, notes: Notes) -> int:
    """Return the limit asked for, 0 for none; more than the model writes is clamped, which changes no answer."""
    wanted, most = call.prompt.sampling.max_output_tokens, call.max_output_tokens
    if most and wanted > most:
        notes.note("clamped", "sampling.max_output_tokens", f"this model writes at most {most} tokens")
        return most
    return wanted
