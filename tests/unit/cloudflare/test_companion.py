from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fixtures.cloudflare import Clock, direct
from nasos.cloudflare import standing
from nasos.cloudflare.companion import PATIENCE, Companion, Pace
from nasos.cloudflare.compose_file import ComposeFile
from nasos.cloudflare.site import Site, rules_of, terms_of, zones_of
from nasos.cloudflare.stop import Stop
from nasos.errors import ProgramFailed, VaultUnreachable
from nasos.ledger import Outcome
from nasos.settings import CloudflareSettings
from nasos.settings.cloudflare import CloudflareTable
from simulators.cloudflare import BROKEN, HTML, Cloudflare, Reply, Token, Zone, busy, failing

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
FAULTS = {
    "500": failing(500), "520": failing(520), "429": busy("2"), "429 for five minutes": busy("300"), "broken": BROKEN,
    "html": HTML, "torn": Reply(200, raw=b'{"succ'),
}  # fmt: skip


@dataclass
class Town:
    """A zone with somebody else's record, a compose file, and a companion that is told when to look."""

    simulated: Cloudflare
    zone: Zone
    place: Path
    clock: Clock = field(default_factory=Clock)
    told: list[tuple[str, str, Outcome]] = field(default_factory=list)
    token: str = "t" * 40
    vault_away: bool = False
    stop: Stop = field(default_factory=Stop)

    def __post_init__(self) -> None:
        self.companion = self.started()

    def started(self) -> Companion:
        """A new one, as after a restart; what it remembers is on the disk."""
        return Companion(
            ComposeFile(self.place / "compose.yml"), self.connect, self.place, self.tell, Pace(), self.clock,
            begun=datetime.fromtimestamp(NOW.timestamp() + self.clock.now, UTC),
        )  # fmt: skip

    def connect(self, _: Stop) -> Site:
        """With the token of now."""
        if self.vault_away:
            raise VaultUnreachable("vault does not answer")
        table = CloudflareTable(owner="home", target=("203.0.113.7",), grace=300)
        settings = CloudflareSettings(api_token=None, zone_id=self.zone.id, table=table)
        client = direct(self.simulated, self.token, self.clock)
        client._manner = replace(client._manner, patience=PATIENCE)
        zones = zones_of(client, settings)
        return Site(client, zones, rules_of(settings, zones), terms_of(settings, "home"), self.clock())

    def tell(self, event: str, target: str, outcome: Outcome, _: Mapping[str, str]) -> None:
        """In place of the ledger."""
        self.told.append((event, target, outcome))

    def services(self, *names: str, **labels: str) -> None:
        """Write the compose file."""
        more = {f"cloudflare.{key}": value for key, value in labels.items()}
        services = {name: {"labels": {"cloudflare.subdomain": name, **more}} for name in names}
        (self.place / "compose.yml").write_text(json.dumps({"services": services}))

    def round(self, seconds: float = 1.0) -> list[str]:
        """Let time pass, look once; the requests that went out."""
        self.clock.now += seconds
        before = len(self.simulated.requests)
        self.companion.round(self.stop)
        return self.simulated.requests[before:]

    def healthy(self) -> str:
        """What the health check says."""
        return standing.proven(self.place)

    @property
    def ours(self) -> set[str]:
        """Names that we made."""
        return {each["name"].partition(".")[0] for each in self.zone.records.values() if each["comment"] != "by hand"}


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    """With two services."""
    simulated = Cloudflare()
    zone = simulated.add_zone("example.com")
    simulated.add(zone, "A", "www", "192.0.2.1", comment="by hand")
    (tmp_path / "compose.yml").write_text("services: {}")
    town = Town(simulated, zone, tmp_path)
    monkeypatch.setattr(standing, "running", town.clock)
    town.services("bot", "web")
    with town.stop:
        yield town
    [foreign] = [each for each in zone.records.values() if each["content"] == "192.0.2.1"]
    assert (foreign["name"], foreign["comment"]) == ("www.example.com", "by hand")


def test_what_appears_is_made_at_once_and_what_goes_waits_for_its_grace(town: Town) -> None:
    """A service that is back within the grace loses nothing; one that stays away is removed when it is over."""
    town.round()
    assert town.ours == {"bot", "web"}
    town.services("bot")
    town.round()
    town.services("bot", "web")
    assert [line for line in town.round(200) if line.startswith("POST")] == []
    town.services("bot")
    town.round(200)
    town.round(299)
    assert town.ours == {"bot", "web"}
    town.round(2)
    assert town.ours == {"bot"}


def test_a_grace_survives_a_restart_and_so_does_what_is_there(town: Town) -> None:
    """A companion that is started anew goes on where the last one was; the grace is counted once."""
    town.round()
    town.services("bot")
    town.round()
    town.companion = town.started()
    town.round(200)
    assert town.ours == {"bot", "web"}
    town.companion = town.started()
    town.round(101)
    assert town.ours == {"bot"}


def test_a_hundred_changes_are_one_list_and_one_batch(town: Town) -> None:
    """N = 100 changes cost at most two lists and one batch; when nothing is new a look costs nothing, or one list."""
    town.round()
    town.services("bot", *(f"n{number}" for number in range(100)))
    asked = town.round()
    assert sorted({line.partition("?")[0] for line in asked}) == sorted(set(asked))
    assert [line.split("/")[-1] for line in asked] == ["dns_records", "batch"]
    assert len(town.ours) == 102
    assert town.round() == []
    assert [line.split("/")[-1] for line in town.round(61)] == ["dns_records"]


@pytest.mark.parametrize("broken", ["", "services: {}", "services: [", "services:\n  a: 1\n  a: 2", "\xff", None])
def test_could_not_look_is_never_nothing_there(town: Town, broken: str | None) -> None:
    """A file that is gone, empty, torn or rubbish leaves the zone alone however long it lasts, and is said once."""
    town.round()
    path = town.place / "compose.yml"
    path.unlink() if broken is None else path.write_bytes(broken.encode("latin-1"))
    for _ in range(4):
        assert town.round(1000) == []
    assert town.ours == {"bot", "web"}
    with pytest.raises(ProgramFailed, match=r"compose\.yml"):
        town.healthy()
    town.services("bot", "web", "new")
    town.round()
    assert town.ours == {"bot", "web", "new"}
    assert [told[2] for told in town.told if told[0] == "cloudflare.companion"] == [Outcome.FAILED, Outcome.OK]
    assert town.healthy() == "3 records wanted in example.com"


def test_a_label_that_cannot_be_followed_concerns_its_container_only(town: Town) -> None:
    """The others go on, what was made for it stays, and it is said once and not in each round."""
    town.round()
    services = {"bot": {"labels": {"cloudflare.subdomian": "bot"}}, "new": {"labels": {"cloudflare.subdomain": "new"}}}
    (town.place / "compose.yml").write_text(json.dumps({"services": services}))
    town.round()
    town.round(1000)
    town.round(1000)
    assert town.ours == {"bot", "new"}
    assert town.told.count(("cloudflare.label", "bot", Outcome.REFUSED)) == 1
    assert "bot: unknown label cloudflare.subdomian" in town.healthy()


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("fault", list(FAULTS), ids=list(FAULTS))
@pytest.mark.parametrize(
    "endpoint", ["GET /zones/[^/]+", "GET .*dns_records", "POST .*batch"], ids=["zone", "list", "batch"]
)
def test_every_fault_of_every_endpoint_ends_in_the_same_zone(
    town: Town, endpoint: str, fault: str, *, after: bool
) -> None:
    """Before and after it was carried out, once or for a while: no record is lost, doubled, or somebody else's."""
    wanted = ["bot", "web"]
    for times in (1, 7):
        wanted.append(f"n{times}")
        town.services(*wanted)
        town.simulated.fail_next(endpoint, FAULTS[fault], after=after, times=times)
        town.companion = town.started()
        for _ in range(12):
            town.round(400)
            if not town.simulated.faults and town.companion._failures == 0:
                break
        assert town.ours == set(wanted)
        names = [each["name"] for each in town.zone.records.values()]
        assert len(names) == len(set(names))
        assert town.healthy()
        town.simulated.faults.clear()


def test_during_a_pause_that_cloudflare_asked_for_nothing_is_sent(town: Town) -> None:
    """429 for five minutes: tries of ours in between reach nobody, and afterwards all is done."""
    town.round()
    town.services("bot", "web", "new")
    town.simulated.fail_next("GET .*", busy("300"))
    assert len(town.round()) == 1
    for _ in range(20):
        assert town.round(10) == []
    town.round(120)
    assert "new" in town.ours


def test_a_refused_token_is_read_again(town: Town) -> None:
    """A token that was revoked is said; the one that replaces it in Vault is taken up without a restart."""
    town.round()
    town.simulated.tokens[:] = [Token("u" * 40)]
    town.services("bot", "web", "new")
    town.round()
    with pytest.raises(ProgramFailed, match="token"):
        town.healthy()
    town.token = "u" * 40
    town.round()
    assert "new" in town.ours


def test_a_zone_that_goes_away_is_said_and_followed_again_when_it_is_back(town: Town) -> None:
    """Removed from the account, or moved to other name servers: nothing is written, and nobody needs a restart."""
    town.round()
    simulated, zone = town.simulated, town.zone
    del simulated.zones[zone.id]
    town.services("bot", "web", "new")
    town.round()
    with pytest.raises(ProgramFailed):
        town.healthy()
    simulated.zones[zone.id] = zone
    town.round(100)
    assert town.ours == {"bot", "web", "new"}
    zone.status = "moved"
    town.services("bot", "web")
    sent = [line for _ in range(3) for line in town.round(3601) if line.startswith("POST")]
    assert sent == []
    with pytest.raises(ProgramFailed, match="moved"):
        town.healthy()
    zone.status = "active"
    town.round(100)
    town.round(301)
    assert town.ours == {"bot", "web"}


def test_a_vault_that_is_away_changes_nothing_for_a_companion_that_runs(town: Town) -> None:
    """The hourly question for the token may fail; only at its start there is nothing to work with."""
    town.vault_away = True
    town.round()
    assert (town.simulated.requests, town.ours) == ([], set())
    town.vault_away = False
    town.round()
    town.vault_away = True
    town.services("bot", "web", "new")
    town.round(4000)
    assert "new" in town.ours


def test_what_cloudflare_refuses_is_tried_ever_more_rarely(town: Town) -> None:
    """The 201st record of a Free zone: the others are there, and the calls of a day are few."""
    for number in range(198):
        town.simulated.add(town.zone, "TXT", f"t{number}", "x", comment="by hand")
    town.round()
    assert len(town.ours) == 1
    for _ in range(24 * 6):
        town.round(600)
    assert len(town.simulated.requests) < 120
    assert len([told for told in town.told if told[:1] == ("cloudflare.apply",)]) == 2


def test_a_state_of_before_this_boot_is_no_health(town: Town) -> None:
    """What was written long ago, or by a clock that was ahead, proves nothing; nor does no state at all."""
    with pytest.raises(ProgramFailed, match="not looked yet"):
        town.healthy()
    town.round()
    town.clock.now += 301
    with pytest.raises(ProgramFailed, match="long ago"):
        town.healthy()
    town.clock.now -= 1000
    with pytest.raises(ProgramFailed, match="long ago"):
        town.healthy()
