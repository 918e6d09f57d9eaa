"""What is said of the files TLS is spoken with when they are not what they should be."""

import pytest
from fixtures.certificates import authority, run

from meshkit.credentials import of_client, of_server
from meshkit.errors import StartError
from meshkit.tls import ClientTls, ServerTls, client_tls


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    signer = authority(tmp_path_factory.mktemp("tls"))
    signer.sign("one", "DNS:one.example")
    signer.sign("two", "DNS:two.example")
    directory = signer.directory
    (directory / "prose.txt").write_text("no certificate", encoding="utf-8")
    (directory / "empty.pem").write_text(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", encoding="utf-8"
    )
    run("ec", "-in", directory / "one.key", "-aes256", "-passout", "pass:word", "-out", directory / "locked.key")
    return directory


@pytest.mark.parametrize(
    ("cert", "key", "client_ca", "told"),
    [
        ("gone.pem", "one.key", "", r"tls\.cert: \S+gone\.pem cannot be read: No such file or directory"),
        ("one.pem", "gone.key", "", r"tls\.key: \S+gone\.key cannot be read: No such file or directory"),
        ("one.pem", "two.key", "", r"tls\.key: \S+two\.key is not the key of the certificate \S+one\.pem"),
        ("prose.txt", "one.key", "", r"tls\.cert: \S+prose\.txt holds no certificate in PEM"),
        ("one.pem", "prose.txt", "", r"tls\.key: \S+prose\.txt holds no private key in PEM"),
        ("empty.pem", "one.key", "", r"tls\.cert, tls\.key: \S+empty\.pem or \S+one\.key is damaged"),
        ("one.pem", "locked.key", "", r"tls\.key: \S+locked\.key is locked with a password"),
        ("one.pem", "one.key", "gone.pem", r"tls\.client_ca: \S+gone\.pem cannot be read"),
        ("one.pem", "one.key", "prose.txt", r"tls\.client_ca: \S+prose\.txt holds no certificate in PEM"),
        ("one.pem", "one.key", "empty.pem", r"tls\.client_ca: \S+empty\.pem is damaged"),
    ],
)
def test_a_servers_file_that_is_wrong_is_named_with_what_is_wrong(made, cert, key, client_ca, told):
    files = ServerTls(made / cert, made / key, made / client_ca if client_ca else None)
    with pytest.raises(StartError, match=f"^{told}"):
        of_server(files, "tls")


def test_a_client_that_shows_a_certificate_has_its_key(made):
    with pytest.raises(StartError, match="TLS cert: is there without its key"):
        of_client(ClientTls(cert=made / "one.pem"))
    with pytest.raises(StartError, match="TLS key: is there without its cert"):
        of_client(ClientTls(key=made / "one.key"))
    assert of_client(ClientTls(made / "authority.pem", made / "one.pem", made / "one.key"))


def test_variables_that_are_empty_say_nothing_of_tls():
    assert client_tls({"MESH_TLS_CA": " ", "OTHER": "x"}) is None
    said = client_tls({"MESH_TLS_CERT": "/a.pem", "MESH_TLS_KEY": "/a.key"})
    assert said is not None
    assert (said.ca, str(said.cert), str(said.key)) == (None, "/a.pem", "/a.key")
