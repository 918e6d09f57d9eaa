"""Reads a .env file: KEY=VALUE lines, comments, quotes; nothing is expanded and nothing is executed."""

import re
from pathlib import Path

from meshkit.yaml_file import ConfigError

ENV_FILE = Path(".env")  # in the directory a command is started in
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


def read_env_file(path: Path) -> dict[str, str]:
    """Return the variables of a .env file, none when there is no such file.

    Raises:
        ConfigError: a line is not KEY=VALUE. The text never holds a value: it may be a secret.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(str(path), 0, "", f"cannot be read: {reason}") from None
    return parse_env(text, str(path))


def parse_env(text: str, name: str = ".env") -> dict[str, str]:
    """Return the variables of a .env text; a later line wins over an earlier one of the same key."""
    variables: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        bare = line.strip().removeprefix("export ").lstrip()
        if not bare or bare.startswith("#"):
            continue
        key, equals, rest = bare.partition("=")
        key = key.rstrip()
        if not equals or not _NAME.fullmatch(key):
            raise ConfigError(name, number, "", "the line is not KEY=VALUE", 'KEY=VALUE, KEY="VALUE", # comment')
        value = _value(rest.strip())
        if value is None:
            raise ConfigError(name, number, key, "the quote is not closed, or something follows it", 'KEY="VALUE"')
        variables[key] = value
    return variables


def _value(text: str) -> str | None:
    """Read what stands after the equals sign; None when its quotes make no sense."""
    if text[:1] == "'":
        return _until_quote(text, "'", escapes=False)
    if text[:1] == '"':
        return _until_quote(text, '"', escapes=True)
    return re.split(r"(?:^|\s)#", text, maxsplit=1)[0].rstrip()


def _until_quote(text: str, quote: str, *, escapes: bool) -> str | None:
    """Read a quoted value; only a comment may follow the closing quote."""
    value: list[str] = []
    letters = iter(enumerate(text[1:], start=1))
    for place, letter in letters:
        if letter == quote:
            rest = text[place + 1 :].strip()
            return "".join(value) if not rest or rest.startswith("#") else None
        if letter == "\\" and escapes:
            _, escaped = next(letters, (0, ""))
            value.append(_ESCAPES.get(escaped, "\\" + escaped))
            continue
        value.append(letter)
    return None
