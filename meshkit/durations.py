"""Seconds as the mesh counts them, and durations as protos carry them."""

from google.protobuf.duration_pb2 import Duration


def to_proto(seconds: float) -> Duration:
    """Return the duration of that many seconds, which must not be negative."""
    whole = int(seconds)
    return Duration(seconds=whole, nanos=int((seconds - whole) * 1e9))


def to_seconds(duration: Duration) -> float:
    """Return how many seconds a duration lasts."""
    return duration.seconds + duration.nanos / 1e9
