"""Turns a request's target into what a dialect needs to know of the vendor and its model."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from llmmesh.chat.v1.chat_pb2 import InputKind, Prompt
from llmmesh.provider.v1.provider_pb2 import EmbedRequest, Target

from catalog.model import Model, Vendor
from meshkit.errors import Reason, invalid
from provider_services.dialects.interface import Call, EmbedCall, Subject
from provider_services.dialects.rules import Rule
from provider_services.measures import OTHER


@dataclass(frozen=True)
class Subjects:
    """One vendor's models as the dialect sees them; `deployments` are names the account itself gave to models."""

    vendor: Vendor
    deployments: Mapping[str, str] = field(default_factory=dict)

    def subject(self) -> Subject:
        """Return the vendor without any model."""
        return Subject(
            self.vendor.id, quirks=frozenset(self.vendor.quirks), paths=self.vendor.paths, errors=self._errors
        )

    def call(self, target: Target, prompt: Prompt, *, stream: bool) -> Call:
        """Return one generation; raises MeshError INVALID_REQUEST."""
        if not prompt.messages:
            raise invalid("prompt.messages", "at least one message is required")
        row = self._row(target)
        return Call(
            vendor=self.vendor.id,
            model=self.deployments.get(target.model, target.model),
            quirks=self._quirks(row),
            paths=self.vendor.paths,
            errors=self._errors,
            prompt=prompt,
            stream=stream,
            reasons=None if row is None else "reasoning" in row.capabilities,
            context_window=row.context_window if row else 0,
            max_output_tokens=row.max_output_tokens if row else 0,
        )

    def embed_call(self, request: EmbedRequest) -> EmbedCall:
        """Return one request for vectors; raises MeshError INVALID_REQUEST."""
        if not request.texts:
            raise invalid("texts", "at least one text is required")
        if request.input_kind not in InputKind.values():
            raise invalid("input_kind", f"unknown value {request.input_kind}; known: {', '.join(InputKind.keys())}")
        row = self._row(request.target)
        return EmbedCall(
            vendor=self.vendor.id,
            model=self.deployments.get(request.target.model, request.target.model),
            quirks=self._quirks(row),
            paths=self.vendor.paths,
            errors=self._errors,
            texts=list(request.texts),
            dimensions=request.dimensions,
            kind=request.input_kind,
        )

    def label(self, model: str) -> str:
        """Return the model's name for metrics: only names of the catalogue, so that callers cannot make new ones."""
        return self._labels.get(model, OTHER)

    @cached_property
    def _labels(self) -> Mapping[str, str]:
        return {self.deployments.get(model, model): model for model in self.vendor.models}

    @cached_property
    def _errors(self) -> tuple[Rule, ...]:
        return tuple(
            Rule(Reason(f"VENDOR_{rule.reason.upper()}"), rule.statuses, rule.words, rule.codes)
            for rule in self.vendor.errors
        )

    def model_class(self, model: str) -> str:
        """Return the class of a model, which its time limits go by."""
        row = self.vendor.models.get(model)
        if row is not None:
            return row.model_class
        return "local" if self.vendor.local else "chat"

    def _row(self, target: Target) -> Model | None:
        if not target.model:
            raise invalid("target.model", "the vendor's own model id is required")
        return self.vendor.models.get(target.model)

    def _quirks(self, row: Model | None) -> frozenset[str]:
        own = frozenset(self.vendor.quirks)
        return own.union(row.quirks) if row and row.quirks else own
