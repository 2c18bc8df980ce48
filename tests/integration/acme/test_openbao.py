"""OpenBao's own ACME server (its PKI engine), as a private CA: the same client, DNS-01, judged by strict clients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fixtures.pebble import Pebble
from fixtures.vault import VaultUnderTest
from nasos.errors import IssuerRefused
from nasos.tls import names
from nasos.tls.acme_client import Authority
from nasos.tls.certificate import names_of, new_key, request
from nasos.tls.chain import Chain, judge, read_roots

MOUNT = "pki-of-a-test"
HEADERS = ["Last-Modified", "Location", "Replay-Nonce", "Link", "Retry-After"]


@dataclass(frozen=True)
class PrivateCa:
    """A PKI engine that speaks ACME."""

    authority: Authority
    roots_file: Path


@pytest.fixture(scope="module")
def private_ca(
    vault: VaultUnderTest, shared_pebble: Pebble, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrivateCa]:
    """A root that signs below example.org, asking Pebble's test DNS server."""

    def write(where: str, /, **body: object) -> dict[str, object]:
        return vault.api.request("POST", where, body, token=vault.root_token)

    base = f"{vault.address}/v1/{MOUNT}"
    write(f"sys/mounts/{MOUNT}", type="pki", config={"max_lease_ttl": "87600h"})
    write(
        f"sys/mounts/{MOUNT}/tune",
        allowed_response_headers=HEADERS,
        passthrough_request_headers=["If-Modified-Since"],
    )
    made = write(f"{MOUNT}/root/generate/internal", common_name="private root", key_type="ec", ttl="8760h")
    write(f"{MOUNT}/config/cluster", path=base, aia_path=base)
    write(f"{MOUNT}/roles/edge", allowed_domains="example.org", allow_subdomains=True, key_type="ec", max_ttl="144h",
          ttl="144h", no_store=False, server_flag=True)  # fmt: skip
    write(f"{MOUNT}/config/acme", enabled=True, allowed_roles=["edge"], default_directory_policy="role:edge",
          dns_resolver=f"127.0.0.1:{shared_pebble.dns[1]}")  # fmt: skip
    roots = tmp_path_factory.mktemp("private-ca") / "root.pem"
    data = made["data"]
    assert isinstance(data, dict)
    roots.write_text(str(data["certificate"]))
    yield PrivateCa(Authority(directory=f"{base}/acme/directory", ca_file=str(vault.ca_file), agreed=True), roots)
    vault.api.request("DELETE", f"sys/mounts/{MOUNT}", token=vault.root_token)


def test_a_certificate_of_six_days_is_issued_and_renewed(private_ca: PrivateCa, pebble: Pebble) -> None:
    """For our key and name, to its root; the same account again."""
    account, serials = new_key(), set()
    for _ in range(2):
        key, hosts = new_key(), names.hosts(["bot.example.org"])
        issuer = pebble.issuer(account, authority=private_ca.authority)
        chain = Chain.parse(issuer.issue(request(key, "", hosts), now=datetime.now(UTC)))
        judge(
            chain,
            public_key=key.public_key(),
            hosts=hosts,
            roots=read_roots(private_ca.roots_file),
            now=datetime.now(UTC),
        )
        assert names_of(chain.leaf) == ("bot.example.org",)
        assert (chain.leaf.not_valid_after_utc - chain.leaf.not_valid_before_utc).days in (6, 5)
        serials.add(chain.leaf.serial_number)
    assert len(serials) == 2
    assert {name for _, name, _ in pebble.called()} == {"_acme-challenge.bot.example.org"}


def test_a_name_that_the_role_may_not_sign_is_refused_in_its_words(private_ca: PrivateCa, pebble: Pebble) -> None:
    """The negative twin: example.com is not example.org."""
    issuer = pebble.issuer(authority=private_ca.authority)
    with pytest.raises(IssuerRefused, match="refuses"):
        issuer.issue(request(new_key(), "", names.hosts(["bot.example.com"])), now=datetime.now(UTC))
