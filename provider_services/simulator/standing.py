"""Says how a vendor stands towards its customers: whose keys it rejects, whose credit is spent, what it gave up."""

import msgspec

from provider_services.simulator.arrivals import Visitor
from provider_services.simulator.rows import VendorRow

EVERYBODY = "*"


class Standing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """What a vendor was told of its customers, its models and itself.

    Customers are named by their account, by the last four characters of a key, or all at once by `*`. `ended` says
    whether the vendor has given up its service; None leaves that to its row.
    """

    rejected: tuple[str, ...] = ()
    out_of_credit: tuple[str, ...] = ()
    retired_models: tuple[str, ...] = ()
    revived_models: tuple[str, ...] = ()
    ended: bool | None = None

    def rejects(self, visitor: Visitor) -> bool:
        """Tell whether the visitor's key is no longer accepted."""
        return _names(self.rejected, visitor)

    def denies_credit(self, visitor: Visitor) -> bool:
        """Tell whether the visitor's account has nothing left to spend."""
        return _names(self.out_of_credit, visitor)

    def laid_over(self, row: VendorRow) -> VendorRow:
        """Return the row as it reads now."""
        return msgspec.structs.replace(
            row,
            models=tuple(model for model in row.models if model.id not in self.retired_models),
            retired=(*(model for model in row.retired if model not in self.revived_models), *self.retired_models),
            ended=row.ended if self.ended is None else self.ended,
        )


def _names(named: tuple[str, ...], visitor: Visitor) -> bool:
    return EVERYBODY in named or visitor.account in named or (bool(visitor.key_last4) and visitor.key_last4 in named)
