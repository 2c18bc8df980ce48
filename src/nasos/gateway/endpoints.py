"""freqtrade's endpoints (2026.9), each under the least role that may use it.

Rules:

* A viewer sees what the bot does, and changes nothing. Not the strategy's code, which is worth something, nor the log,
  which says whatever a library said.
* A trader opens and closes trades, stops and starts the bot, and works with backtests: what costs or computes.
* An admin changes what the bot is: its configuration, its record of trades, the data on its disk.
* By what it does and not by its method: ``GET /backtest/abort`` ends a run, ``POST /pair_candles`` only reads.
* Not here and so nobody's: ``token/login`` and ``token/refresh`` (the gateway answers them itself), ``/docs`` and
  ``/openapi.json`` (freqtrade serves the latter even when it is switched off, and without a login).
* The pages are those of FreqUI's router: the bot answers any other path with the same file, and we do not.
"""

from __future__ import annotations

from typing import Final

API: Final = "/api/v1/"

VIEWER: Final = """
    GET ping             HEAD ping            GET version          GET show_config      GET sysinfo     GET health
    GET balance          GET historic_balance GET count            GET status           GET trades
    GET trade/{tradeid}  GET trades/open/custom-data               GET trades/{trade_id}/custom-data
    GET entries          GET exits            GET mix_tags         GET performance      GET stats
    GET profit           GET profit_all       GET daily            GET weekly           GET monthly
    GET whitelist        GET blacklist        GET locks            GET markets          GET plot_config
    GET pair_candles     POST pair_candles    GET message/ws
"""
TRADER: Final = """
    GET logs             GET strategy/{strategy}
    POST forcebuy        POST forceenter      POST forcesell       POST forceexit
    DELETE trades/{tradeid}/open-order        POST trades/{tradeid}/reload
    POST blacklist       DELETE blacklist     POST locks           DELETE locks/{lockid}   POST locks/delete
    POST start           POST stop            POST stopbuy         POST stopentry          POST pause
    GET strategies       GET exchanges        GET hyperoptloss     GET freqaimodels        GET available_pairs
    GET backtest         POST backtest        DELETE backtest      GET backtest/abort
    GET backtest/history GET backtest/history/result
    GET backtest/history/{file}/market_change GET backtest/history/{file}/{strategy}/wallet
    PATCH backtest/history/{file}             DELETE backtest/history/{file}
    GET background       GET background/{jobid}
    GET pair_history     POST pair_history
    GET pairlists/available                   POST pairlists/evaluate       GET pairlists/evaluate/{jobid}
    GET lookahead_analysis/{jobid}            POST lookahead_analysis
    GET recursive_analysis/{jobid}            POST recursive_analysis
"""
ADMIN: Final = """
    POST reload_config   DELETE trades/{tradeid}                   POST download_data
    DELETE background/{jobid}                 DELETE background/clear
"""

PAGES: Final = """
    GET /                GET /favicon.ico     GET /fallback_file.html       GET /ui_version         GET /assets/{file}
    GET /trade           GET /graph           GET /logs            GET /backtest        GET /dashboard  GET /balance
    GET /open_trades     GET /trade_history   GET /pairlist        GET /settings        GET /login
    GET /pairlist_config GET /download_data   GET /regime          GET /signals
"""
"""What a browser loads to show FreqUI: for every role, as they hold no data."""


def listed(text: str, under: str = API) -> list[tuple[str, str]]:
    """The pairs of method and path that a block above holds."""
    words = text.split()
    return [(method, under + path) for method, path in zip(words[::2], words[1::2], strict=True)]
