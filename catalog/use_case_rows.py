"""The shape of use cases in YAML, shared by `catalog/use_cases.yaml` and mesh.yaml, and what becomes of them."""

from types import MappingProxyType
from typing import Annotated, Self

from pydantic import Field, model_validator

from catalog.model import UseCase
from catalog.words import Capability, DataPolicy, Strategy, StreamGuarantee, Tier
from meshkit.yaml_file import StrictModel, wrong


class UseCaseRow(StrictModel):
    """One use case; its key in the file is its name."""

    aliases: list[str] = Field(default_factory=list)
    default_tier: Tier = "standard"
    strategy: Strategy = "priority"
    spread_share: Annotated[int, Field(gt=0, le=10**9)] | None = None
    weights: dict[str, Annotated[float, Field(gt=0, le=1_000_000)]] = Field(default_factory=dict)
    candidates: dict[Tier, Annotated[list[str], Field(min_length=1)]] = Field(default_factory=dict)
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    max_output_tokens: Annotated[int, Field(gt=0)] | None = None
    system: str = ""
    stream_guarantee: StreamGuarantee = "fast"
    requirements: list[Capability] = Field(default_factory=list)
    data_policy: DataPolicy = ""

    @model_validator(mode="after")
    def _has_what_its_strategy_needs(self) -> Self:
        """Check that a share and weights are said where they are used, and nowhere else."""
        if (self.strategy == "spread") != (self.spread_share is not None):
            raise wrong("strategy `spread` and `spread_share` go together", "both or neither")
        if (self.strategy == "weighted") != bool(self.weights):
            raise wrong("strategy `weighted` and `weights` go together", "both or neither")
        return self

    def use_case(self, name: str) -> UseCase:
        """Return the use case under its name."""
        return UseCase(
            name=name,
            aliases=tuple(self.aliases),
            default_tier=self.default_tier,
            strategy=self.strategy,
            spread_share=self.spread_share or 0,
            weights=MappingProxyType(self.weights),
            candidates=MappingProxyType({tier: tuple(names) for tier, names in self.candidates.items()}),
            temperature=self.temperature,
            max_output_tokens=self.max_output_tokens,
            system=self.system,
            stream_guarantee=self.stream_guarantee,
            requirements=tuple(self.requirements),
            data_policy=self.data_policy,
        )


class UseCasesFile(StrictModel):
    """The file of the use cases the mesh ships."""

    use_cases: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], UseCaseRow]
