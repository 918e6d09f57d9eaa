"""How long the HTTP edge waits for whom."""

from dataclasses import dataclass


@dataclass(slots=True)
class Waits:
    """How long the edge waits, in seconds; another configuration changes it in place."""

    deadline: float = 60.0
    """For a request that does not say how long its caller waits."""
    grace: float = 1.0
    """Beyond a request's deadline, for the router to say itself that it is over."""
    patience: float = 10.0
    """Of silence before a stream's headers are sent."""
    heartbeat: float = 15.0
    """Of silence between a stream's comments."""
