"""What an exchange says about an API key: may it trade, may it withdraw, where from, until when.

==============  =====================================================================
``key``         the key, what is known of it (`Facts`), and why an exchange refuses one
``wire``        one signed question over HTTPS; no answer is never an answer
``binance``     and ``bybit``, ``okx``, ``kraken``: how each is asked, and what it says
``known``       which exchanges can be asked, which cannot, and who checked that
``judgement``   whether a key may be taken into use (pure)
``reminder``    when somebody is to be told that a key grows old or ends (pure)
==============  =====================================================================

The signed requests are our own, on the standard library: ccxt lives in the bot's environment with forty packages of its
own, and this side holds what can administer. ccxt is the oracle in the tests: what it signs and what we sign has to be
taken by the same simulators.
"""
