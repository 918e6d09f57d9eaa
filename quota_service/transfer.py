"""Writes the image of a ledger as lines of JSON, the last with a checksum; reads it back and believes nothing (I20)."""

from collections.abc import Iterable, Iterator
from hashlib import sha256

from msgspec import DecodeError, Struct, ValidationError, json

from meshkit.errors import StartError
from quota_service.image import FORMAT, SCHEMA, ClosureLine, Header, HoldLine, Image, OverrideLine, Spent, Window

PART = 64 * 1024


class End(Struct, frozen=True, tag_field="kind", tag="end", forbid_unknown_fields=True):
    """The last line: how many lines there are before it, and the SHA-256 of them, line ends included."""

    lines: int
    sha256: str


Line = Header | Window | HoldLine | ClosureLine | OverrideLine | Spent | End
_encode = json.Encoder().encode
_decoder: json.Decoder[Line] = json.Decoder(Line)


def write(image: Image) -> Iterator[bytes]:
    """Give the lines of an image, each with its line end."""
    checksum, count = sha256(), 0
    for part in ([image.header], image.windows, image.holds, image.closures, image.overrides, image.spend):
        for line in part:
            text = _encode(line) + b"\n"
            checksum.update(text)
            count += 1
            yield text
    yield _encode(End(count, checksum.hexdigest())) + b"\n"


def in_parts(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Join lines to parts that travel well."""
    part: list[bytes] = []
    size = 0
    for line in lines:
        part.append(line)
        size += len(line)
        if size >= PART:
            yield b"".join(part)
            part, size = [], 0
    if part:
        yield b"".join(part)


def read(lines: Iterable[bytes], name: str) -> Image:
    """Read an image.

    Args:
        lines: with their line ends.
        name: what to call the file in errors.

    Raises:
        StartError: it is no export, of another schema, cut short, changed, or does not add up.
    """
    found: list[Line] = []
    checksum, number, ended = sha256(), 0, False
    for number, text in enumerate(lines, 1):
        if ended:
            raise StartError(f"{name}:{number}: there is something behind the last line")
        line = _line(text, f"{name}:{number}", first=number == 1)
        if isinstance(line, End):
            _check_end(line, number - 1, checksum.hexdigest(), name)
            ended = True
        else:
            checksum.update(text)
            found.append(line)
    if not ended:
        raise StartError(f"{name}: it is cut short after {number} lines: the last line, with the checksum, is missing")
    return _image(found, name)


def _line(text: bytes, where: str, *, first: bool) -> Line:
    try:
        line = _decoder.decode(text)
    except ValidationError as error:
        raise StartError(f"{where}: is no line of an export: {error}") from None
    except (DecodeError, UnicodeDecodeError) as error:
        raise StartError(f"{where}: is no export of a ledger: {error}") from None
    if first != isinstance(line, Header):
        raise StartError(f"{where}: an export begins with one line of the kind header")
    if isinstance(line, Header) and (line.format, line.schema) != (FORMAT, SCHEMA):
        raise StartError(f"{where}: format {line.format}, schema {line.schema}; allowed: {FORMAT}, schema {SCHEMA}")
    return line


def _check_end(end: End, lines: int, checksum: str, name: str) -> None:
    if end.lines != lines:
        raise StartError(f"{name}: {lines} lines, and the last line says {end.lines}: some are missing or too many")
    if end.sha256 != checksum:
        raise StartError(f"{name}: the checksum is {checksum}, and the last line says {end.sha256}: it was changed")


def _image(found: list[Line], name: str) -> Image:
    (header,) = (line for line in found if isinstance(line, Header))
    image = Image(
        header,
        windows=[line for line in found if isinstance(line, Window)],
        holds=[line for line in found if isinstance(line, HoldLine)],
        closures=[line for line in found if isinstance(line, ClosureLine)],
        overrides=[line for line in found if isinstance(line, OverrideLine)],
        spend=[line for line in found if isinstance(line, Spent)],
    )
    for fault in image.faults():
        raise StartError(f"{name}: it does not add up: {fault}")
    return image
