"""Invents the ids vendors put on answers; the same seed invents the same ids."""

import random
import uuid
from base64 import b32encode, b64encode

_ALPHANUMERIC = bytes.maketrans(b"+/", b"xX")
_CROCKFORD = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789abcdefghjkmnpqrstvwxyz")


class Identity:
    """A source of believable ids."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def alphanumeric(self, length: int) -> str:
        """Return letters and digits."""
        return b64encode(self._chance.randbytes(length)).translate(_ALPHANUMERIC)[:length].decode()

    def hex(self, length: int = 32) -> str:
        """Return lower-case hexadecimal digits."""
        return f"{self._chance.getrandbits(length * 4):0{length}x}"

    def uuid(self) -> str:
        """Return a UUID."""
        return str(uuid.UUID(int=self._chance.getrandbits(128), version=4))

    def ulid(self) -> str:
        """Return a lower-case ULID-like id of 26 characters."""
        return "01" + b32encode(self._chance.randbytes(15)).translate(_CROCKFORD).decode()

    def made(self, style: str) -> str:
        """Return an id of the style a row names, 24 letters and digits when it names none."""
        makers = {"hex": self.hex, "uuid": self.uuid, "ulid": self.ulid}
        return makers[style]() if style in makers else self.alphanumeric(24)
