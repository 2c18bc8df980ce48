"""``nasos rotate api``: the guided replacement of an exchange's API key.

Rules: the new key comes by prompt or standard input, never as an argument; nothing is changed before the exchange has
accepted it and nothing speaks against it; what can take money out is refused unless allowed by name, which is an event.
The old key is its owner's to delete: exit 1 until the exchange refuses it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import click

from nasos.cli import output
from nasos.cli.recorded import person
from nasos.cli.rotate.context import Rotating, ended, rotating
from nasos.cli.rotate.pasted import pasted
from nasos.errors import EXIT_CLEAN, EXIT_FAILED, EXIT_FINDINGS, CandidateRejected, NotAsked, SecretNotFound, UsageError
from nasos.exchange.key import OF_THE_KEY, ApiKey, Facts, Refused, key_of, same
from nasos.ledger import Outcome
from nasos.secret import Secret
from nasos.settings import load

if TYPE_CHECKING:
    from nasos.exchange.judgement import Judgement, Terms
    from nasos.stack.rotation.exchange import Ask
    from nasos.stack.rotation.place import Place


@click.command()
@click.argument("name", required=False)
@click.option("--allow-withdraw", is_flag=True, help="Take a key that may withdraw or transfer; recorded.")
@click.option("--allow-account", is_flag=True, help="Take a key of another account than the one before; recorded.")
@click.option("--unprobed", is_flag=True, help="Take a key of an exchange that cannot be asked about it; recorded.")
@click.option("--now", "urgent", is_flag=True, help="The bot takes it up at once, also inside an order.")
@click.option("--old-deleted", is_flag=True, help="You deleted the old key: prove it dead. Asks for no new one.")
def api(  # noqa: PLR0913  one argument per flag
    name: str | None,
    *,
    allow_withdraw: bool,
    allow_account: bool,
    unprobed: bool,
    urgent: bool,
    old_deleted: bool,
) -> int:
    """Replace the exchange's API key: paste the new one, have it proven and delivered, delete the old one.

    NAME is the bot's, by default this stack's. The key is asked for, or read from standard input: as lines (key,
    secret, passphrase where there is one) or as a JSON object with freqtrade's names (api_key, secret, password).
    """
    from nasos.stack.rotation import place
    from nasos.stack.rotation.exchange import asking, name_of

    with rotating(load()) as at:
        bot = at.stack.settings.bot.name
        if name not in {None, bot, name_of(bot)}:
            raise UsageError(f"this stack's bot is {bot}: where {name} trades is not known", f"nasos rotate api {bot}")
        work = Replacement(at, name_of(bot), place.of(at.stack), asking(at.stack), urgent=urgent)
        if old_deleted:
            return work.prove_dead(said_deleted=True)
        return work.replace(allow_withdraw=allow_withdraw, allow_account=allow_account, unprobed=unprobed)


@dataclass(frozen=True, slots=True)
class Replacement:
    """One replacement, from the pasted key to the old one's end."""

    at: Rotating
    name: str
    place: Place
    ask: Ask
    urgent: bool
    """The bot does not wait for a moment without open orders."""

    def replace(self, *, allow_withdraw: bool, allow_account: bool, unprobed: bool) -> int:
        """Take a new key into use; return the exit code.

        Raises:
            UsageError: It is no key, or the one that is in use.
            CandidateRejected: The exchange refuses it, or something speaks against it.
            ExchangeError: Nothing can be told about it now.
        """
        from nasos.exchange.judgement import Terms

        left = self._settled()
        before = self._current()
        fields = self._fields(before)
        key = key_of(fields)
        if same(fields, before) and left == EXIT_CLEAN:  # it was pasted before, and its replacement was cut off
            return self._farewell()
        if same(fields, before):
            raise UsageError(f"the key {key.ending} is the one that is in use", "make a new one at the exchange first")
        terms = Terms(
            bound=self.at.stack.settings.rotation.api_key_ip == "require",
            futures=self.place.futures,
            moves_funds=allow_withdraw,
            other_account=allow_account,
        )
        facts = self._accepted(key, before, terms, unprobed=unprobed)
        code = self._adopted(fields, before)
        if code == EXIT_CLEAN and facts is not None:
            self._learn(facts)
        return max(code, self._farewell() if code == EXIT_CLEAN else code)

    def prove_dead(self, *, said_deleted: bool) -> int:
        """Ask the exchange about every old key; return the exit code."""
        from nasos.stack.rotation.old_keys import Fate, bury, old_keys

        self._settled()  # a replacement that is open may still need its old key's version
        code, found = EXIT_CLEAN, old_keys(self.at.engine.store, self.name)
        outcomes = {Fate.DEAD: Outcome.OK, Fate.ALIVE: Outcome.FAILED, Fate.UNTOLD: Outcome.UNKNOWN}
        codes = {Fate.DEAD: EXIT_CLEAN, Fate.ALIVE: EXIT_FINDINGS, Fate.UNTOLD: EXIT_FAILED}
        for old in found:
            buried = bury(self.at.engine.store, self.name, old, self.ask, said_deleted=said_deleted)
            self.at.tell(
                "rotation.old-key", self.name, outcomes[buried.fate], {"key": old.key.ending, "said": buried.evidence}
            )
            mark = "✓" if buried.fate is Fate.DEAD else "✗"
            output.say(f"{mark} old key {old.key.ending}: {buried.evidence}")
            code = max(code, codes[buried.fate])
        if not found:
            output.say(f"✓ {self.name}: no old key is left")
        return code

    def _settled(self) -> int | None:
        """Finish a replacement that was cut off; how it ended, None when there was none."""
        result = self.at.engine.settle(self.name)
        return None if result is None else ended(result)

    def _current(self) -> Mapping[str, Secret]:
        try:
            return self.at.vault.read(self.name).fields
        except SecretNotFound:
            return {}

    def _fields(self, before: Mapping[str, Secret]) -> dict[str, Secret]:
        from nasos.exchange.known import ASKED, UNASKED

        known = ASKED.get(self.place.exchange) or UNASKED.get(self.place.exchange)
        kept = {name: value for name, value in before.items() if name not in OF_THE_KEY}
        return kept | pasted(known.fields if known else ("api_key", "secret"))

    def _accepted(self, key: ApiKey, before: Mapping[str, Secret], terms: Terms, *, unprobed: bool) -> Facts | None:
        from nasos.exchange.judgement import judge

        try:
            answer = self.ask(key)
        except NotAsked as error:
            if not unprobed:
                raise
            self._override(key, (error.message,))
            return None
        if isinstance(answer, Refused):
            raise CandidateRejected(
                f"{self.place.exchange} refuses the key {key.ending}: {answer}; nothing was changed", "nasos rotate api"
            )
        owner = self._facts_of(before) if before else answer  # a first key has nothing to be compared with
        judgement = judge(answer, terms, owner, datetime.now(UTC))
        self._say(key, answer, judgement)
        if judgement.refusals:
            raise CandidateRejected(
                f"the key {key.ending} is not taken: {'; '.join(judgement.refusals)}; nothing was changed",
                _WAY_OUT if terms.bound else f"{_WAY_OUT}, or nasos rotate api --help",
            )
        if judgement.overridden:
            self._override(key, judgement.overridden)
        return answer

    def _facts_of(self, before: Mapping[str, Secret]) -> Facts | None:
        """The old key's, to see whose it is; its trouble is no obstacle to replacing it."""
        from nasos.errors import ExchangeError

        try:
            answer = self.ask(key_of(before))
        except (ExchangeError, UsageError):
            return None
        return answer if isinstance(answer, Facts) else None

    def _say(self, key: ApiKey, facts: Facts, judgement: Judgement) -> None:
        rights = ", ".join(sorted(facts.rights)) or "nothing"
        output.say(f"✓ {self.place.exchange} accepts the key {key.ending}; it may {rights}")
        for warning in (*judgement.warnings, *judgement.overridden):
            output.note(f"! {warning}")

    def _override(self, key: ApiKey, what: tuple[str, ...]) -> None:
        detail = {"key": key.ending, "allowed": "; ".join(what), "by": person()}
        self.at.tell("rotation.override", self.name, Outcome.OK, detail)

    def _adopted(self, fields: Mapping[str, Secret], before: Mapping[str, Secret]) -> int:
        if not before:
            self.at.vault.write(self.name, fields, cas=0)
            self.at.tell("rotation.end", self.name, Outcome.OK, {"end": "first", "by": person()})
            return self._first_seen()
        when = "now" if self.urgent else "as soon as it waits for no order, in 5 minutes at most (--now does not wait)"
        output.note(f"the bot loads its configuration anew {when}, which may take a minute; its trades stay")
        given = {self.name: fields}
        result = self.at.engine.adopt(self.name, given, actor=person(), reason="a new key", urgent=self.urgent)
        return ended(result)

    def _first_seen(self) -> int:
        """There is nothing to go back to: what the bot makes of its first key is said."""
        from nasos.stack.rotation.exchange import settled

        unit = self.at.engine.units[self.name]
        sights = settled(unit, self.at.vault.read(self.name).fields)
        told = ", ".join(f"{name} {sight.value}" for name, sight in sights.items())
        good = all(sight.value in {"confirmed", "absent"} for sight in sights.values())
        output.say(f"{'✓' if good else '✗'} {self.name} stored; {told}")
        return EXIT_CLEAN if good else EXIT_FINDINGS

    def _learn(self, facts: Facts) -> None:
        from nasos.stack.rotation.key_watch import Known, learn

        version = self.at.vault.metadata(self.name).current
        learn(self.at.engine.store, self.name, Known.of(version, self.place.exchange, facts, datetime.now(UTC)))

    def _farewell(self) -> int:
        """The old key: its owner deletes it, the exchange refuses it."""
        from nasos.stack.rotation.old_keys import old_keys

        left = old_keys(self.at.engine.store, self.name)
        if not left:
            return EXIT_CLEAN
        endings = ", ".join(old.key.ending for old in left)
        output.note(f"now delete the old key ({endings}) at {self.place.exchange}: until then it opens your account")
        if sys.stdin.isatty():
            click.prompt("press Enter when it is deleted", default="", show_default=False, err=True)
            return self.prove_dead(said_deleted=True)
        output.note("then: nasos rotate api --old-deleted")
        return EXIT_FINDINGS


_WAY_OUT: Final = "make another key at the exchange"
