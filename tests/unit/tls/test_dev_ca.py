"""The development CA: what strict clients accept, and what it cannot be made to sign."""

from __future__ import annotations

import ssl
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from nasos.errors import FileRefused, NameRefused, TlsError
from nasos.tls import DevCa, ensure_leaf, signing
from nasos.tls.certificate import key_pem, new_key, parse_certificate, parse_request, request
from nasos.tls.dev_ca import read_ca
from nasos.tls.names import hosts as parse

NOW = datetime(2027, 1, 15, 12, tzinfo=UTC)


def _handshake(ca_file: Path, directory: Path, name: str) -> None:
    """A TLS handshake in memory with a client that sets ``VERIFY_X509_STRICT``."""
    client_context = ssl.create_default_context(cafile=str(ca_file))
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(directory / "edge.pem", directory / "edge.key")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    assert client.version() == "TLSv1.3"


@pytest.mark.parametrize("name", ["localhost", "bot.home.arpa", "127.0.0.1", "::1", "192.168.1.5"])
def test_strict_python_client_accepts(tmp_path: Path, name: str) -> None:
    """The default of Python 3.13, set by hand: accepted by every name and address of the certificate."""
    now = datetime.now(UTC)
    hosts = ["localhost", "bot.home.arpa", "127.0.0.1", "::1", "192.168.1.5"]
    ca = DevCa.open(tmp_path, now=now, hosts=hosts)
    ensure_leaf(ca, tmp_path, "edge", hosts, now=now)
    _handshake(ca.path, tmp_path, name)


def test_strict_python_client_refuses(tmp_path: Path) -> None:
    """Negative twins: another name, another CA, an expired certificate."""
    now = datetime.now(UTC)
    ours, other, old = (tmp_path / name for name in ("ours", "other", "old"))
    for directory in (ours, other, old):
        directory.mkdir()
    ensure_leaf(DevCa.open(ours, now=now), ours, "edge", ["localhost"], now=now)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        _handshake(ours / "ca.pem", ours, "bot.home.arpa")
    with pytest.raises(ssl.SSLCertVerificationError, match="issuer"):
        _handshake(DevCa.open(other, now=now).path, ours, "localhost")
    past = now - timedelta(days=91)
    ca = DevCa.open(old, now=past)
    ensure_leaf(ca, old, "edge", ["localhost"], now=past)
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        _handshake(ca.path, old, "localhost")


def _openssl(*words: str | Path) -> bool:
    return subprocess.run(["openssl", *map(str, words)], capture_output=True, check=False).returncode == 0


def test_openssl_accepts_strictly(tmp_path: Path) -> None:
    """``openssl verify -x509_strict`` says OK."""
    now = datetime.now(UTC)
    ca = DevCa.open(tmp_path, now=now)
    leaf = ensure_leaf(ca, tmp_path, "edge", ["localhost"], now=now)
    assert _openssl("verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", ca.path, leaf.cert)


def test_openssl_refuses_the_tutorials_ca(tmp_path: Path) -> None:
    """The negative twin: a chain as ``openssl req -x509`` makes it passes without that flag, and not with it."""
    ca, key, csr, leaf = (tmp_path / name for name in ("ca.pem", "ca.key", "leaf.csr", "leaf.pem"))
    new = ("-newkey", "rsa:2048", "-nodes")
    assert _openssl("req", "-x509", *new, "-subj", "/CN=tutorial", "-keyout", key, "-out", ca)
    assert _openssl("req", *new, "-subj", "/CN=localhost", "-keyout", tmp_path / "leaf.key", "-out", csr)
    assert _openssl("x509", "-req", "-in", csr, "-CA", ca, "-CAkey", key, "-CAcreateserial", "-out", leaf)
    assert _openssl("verify", "-CAfile", ca, leaf)
    assert not _openssl("verify", "-x509_strict", "-CAfile", ca, leaf)


def test_profile_of_the_certificates(tmp_path: Path) -> None:
    """CA and leaf carry exactly the extensions that strict clients ask for."""
    ca = DevCa.open(tmp_path, now=NOW, hosts=["bot.home.arpa"])
    leaf = parse_certificate(ensure_leaf(ca, tmp_path, "edge", ["bot.home.arpa"], now=NOW).cert.read_bytes())
    critical = {extension.oid: extension.critical for extension in ca.certificate.extensions}
    assert critical == {
        ExtensionOID.BASIC_CONSTRAINTS: True,
        ExtensionOID.KEY_USAGE: True,
        ExtensionOID.NAME_CONSTRAINTS: True,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER: False,
    }
    constraints = ca.certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (constraints.ca, constraints.path_length) == (True, 0)
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    authority = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    subject = ca.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert authority.key_identifier == subject.digest
    assert leaf.not_valid_after_utc - NOW == timedelta(days=90)


def test_files_have_their_modes(tmp_path: Path) -> None:
    """Keys are 0600, certificates 0644."""
    ensure_leaf(DevCa.open(tmp_path, now=NOW), tmp_path, "edge", ["localhost"], now=NOW)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"ca.pem": 0o644, "ca.key": 0o600, "edge.pem": 0o644, "edge.key": 0o600}


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    """A CA that serves is left alone, byte for byte."""
    DevCa.open(tmp_path, now=NOW, hosts=["bot.home.arpa"])
    before = (tmp_path / "ca.pem").read_bytes(), (tmp_path / "ca.key").read_bytes()
    DevCa.open(tmp_path, now=NOW + timedelta(days=400))
    assert ((tmp_path / "ca.pem").read_bytes(), (tmp_path / "ca.key").read_bytes()) == before


def test_new_host_keeps_the_key_and_every_leaf(tmp_path: Path) -> None:
    """A CA that learns a host keeps its key: clients with the old CA file and certificates from before stay good."""
    first = DevCa.open(tmp_path, now=NOW)
    leaf = ensure_leaf(first, tmp_path, "vault", ["localhost"], now=NOW)
    second = DevCa.open(tmp_path, now=NOW, hosts=["bot.home.arpa"])
    assert second.certificate != first.certificate
    assert not ensure_leaf(second, tmp_path, "vault", ["localhost"], now=NOW).issued
    assert not ensure_leaf(first, tmp_path, "vault", ["localhost"], now=NOW).issued
    assert leaf.cert.exists()


def test_ageing_ca_is_certified_anew(tmp_path: Path) -> None:
    """Past two thirds of its ten years the same key gets a new certificate."""
    first = DevCa.open(tmp_path, now=NOW)
    second = DevCa.open(tmp_path, now=NOW + timedelta(days=2500))
    assert second.certificate.public_key() == first.certificate.public_key()
    assert second.certificate.not_valid_after_utc > first.certificate.not_valid_after_utc


def test_missing_key_makes_a_new_ca(tmp_path: Path) -> None:
    """Without its key a CA certificate is worthless: a new pair is made."""
    first = DevCa.open(tmp_path, now=NOW)
    (tmp_path / "ca.key").unlink()
    assert DevCa.open(tmp_path, now=NOW).certificate.subject != first.certificate.subject


def test_killed_between_key_and_certificate(tmp_path: Path) -> None:
    """A CA key without its certificate, or beside another's, gets a certificate of its own."""
    DevCa.open(tmp_path, now=NOW)
    other = tmp_path / "other"
    other.mkdir()
    foreign = DevCa.open(other, now=NOW).path.read_bytes()
    for content in (None, b"", b"\x00garbage", foreign):
        (tmp_path / "ca.pem").unlink() if content is None else (tmp_path / "ca.pem").write_bytes(content)
        ca = DevCa.open(tmp_path, now=NOW)
        ensure_leaf(ca, tmp_path, "edge", ["localhost"], now=NOW)
        assert parse_certificate(ca.path.read_bytes()) == ca.certificate


def test_open_ca_key_is_refused(tmp_path: Path) -> None:
    """A CA key that others could read is not used; the hint mends it."""
    DevCa.open(tmp_path, now=NOW)
    (tmp_path / "ca.key").chmod(0o640)
    with pytest.raises(FileRefused, match="can be read by other users"):
        DevCa.open(tmp_path, now=NOW)


@pytest.mark.parametrize(
    "damage", [b"", b"not a key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_damaged_ca_key_is_named(tmp_path: Path, damage: bytes) -> None:
    """A damaged CA key stops with a way out; it is not silently replaced, for clients trust it."""
    DevCa.open(tmp_path, now=NOW)
    (tmp_path / "ca.key").write_bytes(damage)
    with pytest.raises(TlsError, match=r"ca\.key is damaged") as caught:
        DevCa.open(tmp_path, now=NOW)
    assert "tls setup" in str(caught.value.hint)


def test_other_names_are_not_signed(tmp_path: Path) -> None:
    """A request for a name outside the constraints is refused, and a forged certificate for it is not trusted."""
    ca = DevCa.open(tmp_path, now=NOW, hosts=["bot.home.arpa"])
    key = new_key()
    for name in ("evil.example", "home.arpa", "notbot.home.arpa", "10.0.0.1", "8.8.8.8"):
        with pytest.raises(TlsError, match="may not sign"):
            ca.issue(request(key, "edge", parse([name])), now=NOW)
    assert ca.issue(request(key, "edge", parse(["x.bot.home.arpa", "127.9.9.9"])), now=NOW)


def test_stolen_ca_key_cannot_reach_beyond_the_constraints(tmp_path: Path) -> None:
    """Whoever signs another name with the CA's key is refused by OpenSSL: the constraints are in what clients trust."""
    now = datetime.now(UTC)
    ca = DevCa.open(tmp_path, now=now)
    key = new_key()
    forged = signing.sign(ca.certificate, ca.key, parse_request(request(key, "x", parse(["evil.example"]))), now)
    (tmp_path / "edge.pem").write_bytes(forged.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "edge.key").write_bytes(key_pem(key))
    with pytest.raises(ssl.SSLCertVerificationError, match="subtree"):
        _handshake(ca.path, tmp_path, "evil.example")


def test_request_decides_nothing_but_names_and_key(tmp_path: Path) -> None:
    """A request that asks to be a CA gets an ordinary server certificate."""
    ca = DevCa.open(tmp_path, now=NOW)
    greedy = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(new_key(), hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    issued = parse_certificate(ca.issue(greedy, now=NOW))
    assert not issued.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_malformed_requests_are_refused(tmp_path: Path) -> None:
    """Garbage, a broken signature, an RSA key, no name, a mail address: each is refused with a reason."""
    ca = DevCa.open(tmp_path, now=NOW)
    good = request(new_key(), "edge", parse(["localhost"]))
    der = bytearray(x509.load_pem_x509_csr(good).public_bytes(serialization.Encoding.DER))
    der[-1] ^= 1
    try:
        broken = x509.load_der_x509_csr(bytes(der)).public_bytes(serialization.Encoding.PEM)
    except ValueError:
        broken = b""
    rsa_key = rsa.generate_private_key(65537, 2048)
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    named = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    mail = builder.add_extension(x509.SubjectAlternativeName([x509.RFC822Name("a@b.c")]), critical=False)
    pem = serialization.Encoding.PEM
    requests = [
        b"",
        good[:-40],
        broken,
        named.sign(rsa_key, hashes.SHA256()).public_bytes(pem),
        builder.sign(new_key(), hashes.SHA256()).public_bytes(pem),
        mail.sign(new_key(), hashes.SHA256()).public_bytes(pem),
    ]
    for csr in requests:
        with pytest.raises((TlsError, NameRefused)):
            ca.issue(csr, now=NOW)


def test_key_is_not_shown(tmp_path: Path) -> None:
    """The representation of a CA holds no key."""
    ca = DevCa.open(tmp_path, now=NOW)
    assert "PrivateKey" in repr(ca.key)
    assert "PrivateKey" not in repr(ca)


def test_another_name_leaves_the_file_the_same_one(tmp_path: Path) -> None:
    """A running bot that may open this file, by its inode and no other, still can; half a file is made anew."""
    path = DevCa.open(tmp_path, now=NOW, hosts=["localhost"]).path
    inode, before = path.stat().st_ino, path.read_bytes()
    DevCa.open(tmp_path, now=NOW, hosts=["bot.lan"])
    assert path.stat().st_ino == inode
    assert path.read_bytes() != before
    path.write_bytes(before[:100])
    DevCa.open(tmp_path, now=NOW, hosts=["bot.lan"])
    assert read_ca(path) is not None
