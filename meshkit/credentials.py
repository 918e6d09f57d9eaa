"""Makes gRPC's credentials of certificates, and tells which names a verified peer has."""

from typing import Any

import grpc

from meshkit.errors import StartError
from meshkit.tls import ClientTls, ServerTls, read_ca, read_pair


def of_server(tls: ServerTls, place: str) -> grpc.ServerCredentials:
    """Make a server's credentials; with a `client_ca` nobody comes in without a certificate that it signed.

    Args:
        tls: the files.
        place: the key of the configuration that names them.

    Raises:
        StartError: the first file that is not what it should be.
    """
    pair = read_pair(tls.cert, tls.key, f"{place}.cert", f"{place}.key")
    if tls.client_ca is None:
        return grpc.ssl_server_credentials([pair])
    signers = read_ca(tls.client_ca, f"{place}.client_ca")
    return grpc.ssl_server_credentials([pair], signers, require_client_auth=True)


def of_client(tls: ClientTls) -> grpc.ChannelCredentials:
    """Make a client's credentials.

    Raises:
        StartError: the first file that is not what it should be, or a certificate without its key.
    """
    ca = None if tls.ca is None else read_ca(tls.ca, "TLS ca")
    if tls.cert is None and tls.key is None:
        return grpc.ssl_channel_credentials(ca)
    if tls.cert is None or tls.key is None:
        said, missing = ("cert", "key") if tls.key is None else ("key", "cert")
        raise StartError(f"TLS {said}: is there without its {missing}; who shows a certificate needs both")
    key, cert = read_pair(tls.cert, tls.key, "TLS cert", "TLS key")
    return grpc.ssl_channel_credentials(ca, key, cert)


def peer_names(context: grpc.aio.ServicerContext[Any, Any]) -> frozenset[str]:
    """Return the DNS names, in lower case, and the URIs in the certificate a caller was verified by."""
    said = context.auth_context()
    names = [name.decode("utf-8", "replace").lower() for name in said.get("peer_dns", ())]
    return frozenset([*names, *(uri.decode("utf-8", "replace") for uri in said.get("peer_uri", ()))])
