"""The demo exchange: a synthetic market on loopback, for a bot without account or network.

- ``script``: what happens in the market, minute by minute (pure);
- ``market``: prices and candles at any instant (pure);
- ``query``: the parameters of a request (pure);
- ``binance``: answers in the shape of Binance's public spot REST interface (pure);
- ``accounts``: API keys, made and checked as at a real one; worth nothing;
- ``server``: those answers over HTTP, on loopback only;
- ``__main__``: ``python -m nasos.stack.demo_exchange --port 8447``.

Nothing here is a market price of anything; profits made here mean nothing.
"""

from __future__ import annotations

from typing import Final

from nasos.stack.demo_exchange.market import MARKET

PAIRS: Final = tuple(pair.name for pair in MARKET.values())
"""The traded pairs as freqtrade names them."""


def ccxt_config(port: int, listen: str = "127.0.0.1") -> dict[str, object]:
    """The ``exchange`` section of a freqtrade configuration that trades on the demo exchange at ``port``.

    ``only_from_ccxt`` keeps ``download-data`` away from Binance's public archive, and the one market type keeps
    ccxt away from Binance's other hosts: nothing leaves the machine.
    """
    root = f"http://{listen}:{port}"
    plain = {name: f"{root}/api/{version}" for name, version in (("public", "v3"), ("private", "v3"), ("v1", "v1"))}
    signed = {f"sapi{version}": f"{root}/sapi/{version.lower() or 'v1'}" for version in ("", "V2", "V3", "V4")}
    return {
        "name": "binance",
        "enable_ws": False,
        "only_from_ccxt": True,
        "ccxt_config": {
            "urls": {"api": {**plain, **signed}},
            "options": {"fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False},
        },
        "pair_whitelist": list(PAIRS),
        "pair_blacklist": [],
    }


__all__ = ["PAIRS", "ccxt_config"]
