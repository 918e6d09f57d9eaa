"""Invents the ids vendors put on answers; the same seed invents the same ids."""

import random
import uuid
from base64 import b32encode, b64encode
from zlib import crc32

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

    def digits(self, length: int = 8) -> str:
        """Return decimal digits, the first of them no zero."""
        return str(self._chance.randrange(10 ** (length - 1), 10**length))

    def dated(self) -> str:
        """Return a moment to the second, and what tells it from others of that second."""
        return "20261120093000" + self.hex(16)

    def made(self, style: str) -> str:
        """Return an id of the style a row names, such as `hex` or `hex:22`; 24 letters and digits by default."""
        name, _, length = style.partition(":")
        long = {"hex": self.hex, "digits": self.digits, "alphanumeric": self.alphanumeric}
        if name in long and length:
            return long[name](int(length))
        whole = {"hex": self.hex, "digits": self.digits, "uuid": self.uuid, "ulid": self.ulid, "dated": self.dated}
        return whole[name]() if name in whole else self.alphanumeric(24)


def marked(chance: str, vendor: str) -> str:
    """Return a tool call's id that the vendor will know as its own."""
    return f"call_{chance}{crc32(f'{vendor} {chance}'.encode()):08x}"


def is_own(call_id: str, vendor: str) -> bool:
    """Tell whether the vendor made this call id."""
    chance = call_id.removeprefix("call_")[:-8]
    return bool(chance) and marked(chance, vendor) == call_id
