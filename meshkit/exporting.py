"""Sends spans to a collector; loaded only when there is one, for the SDK takes seven megabytes."""

import threading

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

LAST_SECONDS = 2.0


class Exporting:
    """Spans on their way to a collector."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider

    def shutdown(self) -> None:
        """Send what is left; a collector that does not take it holds up the end of the process a moment, not longer."""
        sending = threading.Thread(target=self._provider.shutdown, daemon=True, name="last-spans")
        sending.start()
        sending.join(LAST_SECONDS)


def begin(service: str, endpoint: str) -> Exporting:
    """Make every tracer of this process record spans and send them to an OTLP/gRPC endpoint."""
    provider = TracerProvider(resource=Resource.create({"service.name": service}), shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=endpoint, insecure=not endpoint.startswith("https"))
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=500))
    trace.set_tracer_provider(provider)
    return Exporting(provider)
