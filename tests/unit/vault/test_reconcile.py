from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from nasos.errors import BootstrapRefused, FileRefused, NameRefused
from nasos.vault.credentials import State
from nasos.vault.desired import Desired, Setting
from nasos.vault.reconcile import Mark, Mint, Observed, Write, plan
from nasos.vault.roles import roles
from nasos.vault.server import ServerConfig, render_config
from nasos.vault.system import Product

DESIRED = Desired(bots=("nasos",), bound_cidrs=("127.0.0.1/32",))
Answers = dict[str, Mapping[str, object] | None]


def put(tree: Mapping[str, object], at: tuple[str, ...], want: Mapping[str, object]) -> dict[str, object]:
    """``tree`` with ``want`` merged in at a place."""
    if not at:
        return {**tree, **want}
    below = tree.get(at[0])
    return {**tree, at[0]: put(below if isinstance(below, Mapping) else {}, at[1:], want)}


def ready() -> Observed:
    """A server that shows exactly what is wanted."""
    answers: Answers = {"sys/audit": {"primary/": {}}}
    for setting in DESIRED.settings:
        answers[setting.read] = put(answers.get(setting.read) or {}, setting.at, dict(setting.want))
    # msgspec decodes JSON lists to lists; the table holds tuples.
    answers["sys/quotas/config"] = {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in (answers["sys/quotas/config"] or {}).items()
    }
    good = {role.name: State.GOOD for role in DESIRED.roles}
    return Observed(product=Product.OPENBAO, answers=answers, credentials=good, marked=True)


def changed(path: str, data: Mapping[str, object] | None) -> Observed:
    """The ready server, but for one path."""
    return replace(ready(), answers={**ready().answers, path: data})


def test_nothing_is_planned_for_a_ready_server() -> None:
    """Desired minus the same is empty."""
    assert plan(ready(), DESIRED).steps == ()


def test_everything_is_planned_for_an_empty_server() -> None:
    """Every setting in the order of the table, then every credential, the marker last."""
    steps = plan(Observed.of_nothing(Product.OPENBAO), DESIRED).steps
    assert [step.setting for step in steps if isinstance(step, Write)] == list(DESIRED.settings)
    assert [step.role for step in steps if isinstance(step, Mint)] == list(DESIRED.roles)
    assert isinstance(steps[-1], Mark)


@pytest.mark.parametrize("missing", DESIRED.settings, ids=lambda setting: setting.name)
def test_each_missing_setting_is_one_step(missing: Setting) -> None:
    """Whatever is taken away is planned again, and only what is read at the same place with it."""
    steps = plan(changed(missing.read, None), DESIRED).steps
    assert missing in [step.setting for step in steps if isinstance(step, Write)]
    assert {step.setting.read for step in steps if isinstance(step, Write)} == {missing.read}


def test_foreign_additions_stay() -> None:
    """More than is wanted is not drift: other mounts, other headers, other keys."""
    mounts = {**(ready().answers["sys/mounts"] or {}), "secret/": {"type": "kv"}}
    assert plan(changed("sys/mounts", mounts), DESIRED).steps == ()


def test_one_address_has_one_spelling() -> None:
    """The servers show 127.0.0.1/32 without its mask; that is no drift, another network is."""
    path = "auth/approle/role/nasos-app"
    shown = {**(ready().answers[path] or {}), "token_bound_cidrs": ["127.0.0.1"]}
    assert plan(changed(path, shown), DESIRED).steps == ()
    wider = {**shown, "token_bound_cidrs": ["127.0.0.0/8"]}
    assert len(plan(changed(path, wider), DESIRED).steps) == 1


def test_unmanaged_addresses_are_left_alone() -> None:
    """Without wanted networks, what the operator bound a role to stays."""
    path = "auth/approle/role/nasos-app"
    shown = {**(ready().answers[path] or {}), "token_bound_cidrs": ["10.1.0.0/16"]}
    assert plan(changed(path, shown), replace(DESIRED, bound_cidrs=None)).steps == ()


def test_what_may_not_be_read_is_unknown_not_right() -> None:
    """A denied path is reported, and neither planned nor passed over."""
    todo = plan(replace(ready(), denied=frozenset({"sys/quotas/config"})), DESIRED)
    assert (todo.steps, todo.unknown) == ((), ("audit of refused requests",))


def test_somebody_elses_mount_is_refused() -> None:
    """Another engine at kv/ or approle/ stops the whole plan."""
    with pytest.raises(BootstrapRefused, match="kv/"):
        plan(changed("sys/mounts", {"kv/": {"type": "kv", "options": {"version": "1"}}}), DESIRED)
    with pytest.raises(BootstrapRefused, match="approle/"):
        plan(changed("sys/auth", {"approle/": {"type": "userpass"}}), DESIRED)


def test_audit_devices_come_the_way_the_product_knows() -> None:
    """HashiCorp Vault gets two by the API when it has none; OpenBao must have declared them."""
    bare = changed("sys/audit", {})
    with pytest.raises(BootstrapRefused, match="no audit device"):
        plan(bare, DESIRED)
    steps = plan(replace(bare, product=Product.VAULT), DESIRED).steps
    assert [step.setting.write for step in steps if isinstance(step, Write)] == [
        "sys/audit/primary",
        "sys/audit/second",
    ]
    assert plan(replace(ready(), product=Product.VAULT), DESIRED).steps == ()


@pytest.mark.parametrize("state", [state for state in State if state is not State.GOOD])
def test_a_credential_that_is_not_good_is_minted(state: State) -> None:
    """And no other."""
    observed = replace(ready(), credentials={**ready().credentials, "watcher": state})
    [step] = plan(observed, DESIRED).steps
    assert isinstance(step, Mint)
    assert (step.role.name, step.why) == ("watcher", state)


@pytest.mark.parametrize("name", ['x" { capabilities = ["sudo"] }', "a/b", "+", "*", "", "Bot", "a" * 32])
def test_a_bot_name_cannot_reach_into_a_policy(name: str) -> None:
    """Names that would mean something in HCL or in a path are refused."""
    with pytest.raises(NameRefused):
        roles((name,))


def config(tmp_path: Path, *, data: str = "data", static: bool = True) -> ServerConfig:
    """A configuration of one server."""
    return ServerConfig(
        port=8444, data_dir=tmp_path / data, tls_cert=tmp_path / "c.pem", tls_key=tmp_path / "k.pem",
        audit_files=(tmp_path / "1.log", tmp_path / "2.log"), unseal_key=tmp_path / "unseal.key" if static else None,
    )  # fmt: skip


def test_the_configuration_listens_on_loopback_with_tls(tmp_path: Path) -> None:
    """No address but loopback, no switch that turns TLS off, two audit devices, the key by its path only."""
    text = render_config(config(tmp_path))
    assert text.count("127.0.0.1:") == 4
    assert "0.0.0.0" not in text  # noqa: S104  that it is not there is the point
    assert "tls_disable" not in text
    assert text.count('audit "file"') == 2
    assert f'"file://{tmp_path}/unseal.key"' in text


def test_shamir_is_the_absence_of_a_seal_stanza(tmp_path: Path) -> None:
    """Without a key file no seal is configured."""
    assert 'seal "' not in render_config(config(tmp_path, static=False))


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "a${b}", "%{a}"])
def test_a_path_cannot_reach_into_the_configuration(tmp_path: Path, name: str) -> None:
    """A path that HCL would read as something else is refused."""
    with pytest.raises(FileRefused, match="configuration"):
        render_config(config(tmp_path, data=name))
