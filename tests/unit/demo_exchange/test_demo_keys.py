"""The demo exchange's API keys: made, checked and deleted as at a real one."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest

from nasos.stack.demo_exchange.accounts import MOST, SITE, Accounts
from nasos.stack.demo_exchange.query import Query, Refused

NOW = 1_800_000_000.0
ASKED = "/sapi/v1/account/apiRestrictions"


def made(accounts: Accounts, **wanted: str) -> dict[str, str]:
    """A new key."""
    found: Any = accounts.site("POST", SITE, Query(wanted), NOW)
    return dict(found)


def signed(accounts: Accounts, key: dict[str, str], path: str = ASKED, *, at: float = NOW) -> Any:
    """The answer to a request that this key signed."""
    payload = f"timestamp={int(at * 1000)}"
    signature = hmac.new(key["secret"].encode(), payload.encode(), hashlib.sha256).hexdigest()
    query = Query({"timestamp": str(int(at * 1000)), "signature": signature})
    return accounts.answer(path, key["api_key"], f"{payload}&signature={signature}", query, NOW)


def test_a_key_answers_for_itself_until_it_is_deleted() -> None:
    """Its rights are those that it was made with; uses are counted; a deleted one is refused as an unknown one is."""
    accounts = Accounts()
    key = made(accounts, withdraw="true", bound="false")
    told = signed(accounts, key)
    assert (told["enableWithdrawals"], told["ipRestrict"], told["enableSpotAndMarginTrading"]) == (True, False, True)
    assert signed(accounts, key, "/api/v3/account")["uid"] == 1
    assert accounts.site("GET", SITE, Query({}), NOW) == [{"api_key": key["api_key"], "used": 2}]
    accounts.site("DELETE", f"{SITE}/{key['api_key']}", Query({}), NOW)
    with pytest.raises(Refused) as error:
        signed(accounts, key)
    assert error.value.code == -2015


@pytest.mark.parametrize(("late", "secret", "code"), [(60, "", -1021), (-60, "", -1021), (0, "0" * 64, -1022)])
def test_a_request_of_another_time_or_secret_is_refused(late: float, secret: str, code: int) -> None:
    """With the code that Binance uses, and without counting as a use."""
    accounts = Accounts()
    key = made(accounts)
    with pytest.raises(Refused) as error:
        signed(accounts, key | ({"secret": secret} if secret else {}), at=NOW - late)
    assert error.value.code == code
    assert accounts.site("GET", SITE, Query({}), NOW) == [{"api_key": key["api_key"], "used": 0}]


def test_there_is_an_end_to_keys_and_to_what_they_open() -> None:
    """A program gone wild fills no memory; there is no key of that name, and no path that nobody wrote."""
    accounts = Accounts()
    keys = [made(accounts) for _ in range(MOST)]
    with pytest.raises(Refused) as error:
        made(accounts)
    assert error.value.status == 409
    with pytest.raises(Refused):
        accounts.site("DELETE", f"{SITE}/none", Query({}), NOW)
    with pytest.raises(Refused):
        signed(accounts, keys[0], "/api/v3/order")
