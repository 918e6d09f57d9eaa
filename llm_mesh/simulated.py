"""Tells the simulator to host every model of the catalogue, so that a sandbox can serve whatever the mesh lists."""

from typing import Any

from catalog.model import Catalog, Model

USD = 10**9  # nano-dollars
DIMENSIONS = 1024  # of made-up vectors, where the catalogue does not say how long real ones are


def hosted(catalog: Catalog) -> dict[str, Any]:
    """Return the simulator's configuration; models it has rows of its own for stay as they are there."""
    return {
        "vendors": {
            vendor.id: {"more_models": [_row(model) for model in vendor.models.values() if model.status != "retired"]}
            for vendor in catalog.vendors.values()
        }
    }


def _row(model: Model) -> dict[str, Any]:
    embeds = model.embeds
    row: dict[str, Any] = {"id": model.id, "kind": "embed" if embeds else "chat"}
    if embeds:
        row["dimensions"] = model.dimensions or DIMENSIONS
    if model.context_window:
        row["context"] = model.context_window
    if model.max_output_tokens:
        row["max_output"] = model.max_output_tokens
    if model.price is not None:
        row["price"] = [model.price.input / USD, model.price.output / USD]
    return row | {"reasoning": "reasoning" in model.capabilities}
