"""`llm-mesh demo`: a guided tour of what the mesh does, against simulated vendors, in half a minute."""

from llm_mesh.cli import outcome


def demo() -> None:
    """Show the mesh at work: routes, streams, a failing vendor, a quota that runs out. Needs no key."""
    from llm_mesh.cli import tour  # noqa: PLC0415 - half a second that no other command needs

    outcome.run(tour.guide(), as_json=False)
