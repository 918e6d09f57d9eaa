"""The shape of tenants.yaml: who may call, under which rules, with which keys."""

import datetime as dt
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from catalog import caller_labels
from catalog.limit_rows import AmountRow
from catalog.words import DataPolicy, StreamGuarantee, Tier
from meshkit.yaml_file import StrictModel, wrong

TenantName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Scope = Literal["caller", "operator"]
_DNS_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*")
_URI = re.compile(r"[a-z][a-z0-9+.-]*:[!-)+-~]+")
_LONGEST_NAME = 2048


def _labels(labels: dict[str, str]) -> dict[str, str]:
    """Accept what a caller could say itself."""
    for key, fault in caller_labels.faults(labels):
        what, _, allowed = fault.rpartition("allowed: ")
        raise wrong(" ".join(filter(None, (f"`{key}`" if key else "", what.rstrip("; ") or "is not allowed"))), allowed)
    return labels


def _certificate_name(text: str) -> str:
    """Accept what a certificate can call its holder: a DNS name, whose case says nothing, or a URI."""
    if _DNS_NAME.fullmatch(text):
        return text.lower()
    if len(text) > _LONGEST_NAME or not _URI.fullmatch(text):
        raise wrong(
            f"`{text[:120]}` is no name of a certificate",
            "a DNS name such as search.example.com, or a URI such as spiffe://example.com/search; no patterns",
        )
    return text


def _callers() -> list[Scope]:
    """Return what a key is for that does not say it."""
    return ["caller"]


class TenantRow(StrictModel):
    """What one tenant may do; its key in the file is its name."""

    budgets: list[AmountRow] = Field(default_factory=list)
    models: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=list)
    use_cases: list[str] = Field(default_factory=list)
    default_tier: Tier | None = None
    data_policy: DataPolicy = ""
    stream_guarantee: StreamGuarantee | None = None
    labels: Annotated[dict[str, str], AfterValidator(_labels)] = Field(default_factory=dict)


class KeyRow(StrictModel):
    """One key: whose it is, the keyed hash that recognises it, what it is for and until when."""

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]
    tenant: TenantName
    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    scopes: Annotated[list[Scope], Field(min_length=1)] = Field(default_factory=_callers)
    created: dt.datetime | dt.date | None = None
    expires: dt.datetime | dt.date | None = None
    note: Annotated[str, Field(max_length=200)] = ""


class CertificateRow(StrictModel):
    """A name in client certificates: whose callers have it, and what they may do."""

    name: Annotated[str, AfterValidator(_certificate_name)]
    tenant: TenantName
    scopes: Annotated[list[Scope], Field(min_length=1)] = Field(default_factory=_callers)
    note: Annotated[str, Field(max_length=200)] = ""


class TenantsFile(StrictModel):
    """The whole file."""

    tenants: dict[TenantName, TenantRow] = Field(default_factory=dict)
    keys: list[KeyRow] = Field(default_factory=list)
    certificates: list[CertificateRow] = Field(default_factory=list)
