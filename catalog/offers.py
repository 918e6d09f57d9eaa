"""Names one offer in text: `vendor/model#slot`."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True, order=True)
class OfferId:
    """One model of one vendor with one of its keys."""

    vendor: str
    model: str
    slot: int = 1

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `vendor/model#slot`; the model may contain slashes and `#slot` may be left out (then 1).

        Raises:
            ValueError: the text is no offer.
        """
        name, hash_sign, number = text.rpartition("#")
        if not hash_sign:
            name, number = text, "1"
        vendor, slash, model = name.partition("/")
        if not (vendor and slash and model and number.isascii() and number.isdigit() and int(number) > 0):
            raise ValueError(f"`{text}` is not an offer; allowed: vendor/model#slot")
        return cls(vendor, model, int(number))

    def __str__(self) -> str:
        return f"{self.vendor}/{self.model}#{self.slot}"
