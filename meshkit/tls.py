"""The files of both ends of an encrypted connection: read and checked, with clear words for what is wrong."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from meshkit.errors import StartError

NO_NAMES: frozenset[str] = frozenset()
# What a client's files are named by, for the commands and the Python client.
CA_VARIABLE, CERT_VARIABLE, KEY_VARIABLE = "MESH_TLS_CA", "MESH_TLS_CERT", "MESH_TLS_KEY"


@dataclass(frozen=True, slots=True)
class ServerTls:
    """The files of a server: its certificate with what signed it, its key, and who must have signed its callers'."""

    cert: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class ClientTls:
    """The files of a client: who must have signed the server's certificate, and its own certificate with its key.

    Without `ca` those count that this machine trusts; without `cert` the client shows none.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None


def client_tls(env: Mapping[str, str]) -> ClientTls | None:
    """Return what the environment says of a client's files; None when it says nothing."""
    ca, cert, key = (env.get(variable, "").strip() for variable in (CA_VARIABLE, CERT_VARIABLE, KEY_VARIABLE))
    if not (ca or cert or key):
        return None
    return ClientTls(*(Path(text) if text else None for text in (ca, cert, key)))


def read_pair(cert: Path, key: Path, cert_place: str, key_place: str) -> tuple[bytes, bytes]:
    """Read a key and its certificate, checked before gRPC sees them: its own words say neither which file nor why.

    Raises:
        StartError: the first that is not what it should be, by the place that names it.
    """

    def no_password() -> NoReturn:
        raise StartError(f"{key_place}: {key} is locked with a password, which nobody is here to type")

    pair = _read(key, key_place), _read(cert, cert_place)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise StartError(f"{key_place}: {key} is not the key of the certificate {cert}") from None
        wrong = _wrong(cert, cert_place, "CERTIFICATE") or _wrong(key, key_place, "PRIVATE KEY")
        raise StartError(wrong or f"{cert_place}, {key_place}: {cert} or {key} is damaged") from None
    return pair


def read_ca(path: Path, place: str) -> bytes:
    """Read the certificates that sign others.

    Raises:
        StartError: the file is not what it should be, by the place that names it.
    """
    found = _read(path, place)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(path)
    except ssl.SSLError:
        raise StartError(_wrong(path, place, "CERTIFICATE") or f"{place}: {path} is damaged") from None
    return found


def _read(path: Path, place: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StartError(f"{place}: {path} cannot be read: {error.strerror}") from None


def _wrong(path: Path, place: str, kind: str) -> str:
    """Say what is wrong with a file that should hold something of a kind, empty when it looks as if it did."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return "" if f"{kind}-----" in text else f"{place}: {path} holds no {kind.lower()} in PEM (-----BEGIN …)"
