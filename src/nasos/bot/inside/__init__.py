"""Inside the bot's process: what is done to freqtrade, one module per hook. Only here is freqtrade imported.

==================  =========================================================================
``familiar``        the release that the hooks were tried with, and the refusal of another inside
``configuration``   freqtrade's configuration gets our document whenever it is loaded
``api``             the API's credentials, replaced while it serves
``tls``             the API speaks TLS and nothing else
``logs``            secrets are cut out of every log record where it is made
==================  =========================================================================

Rules: a hook looks first whether freqtrade's inside is what it knows, and refuses with a hint where it is not: a guard
that silently does nothing is none. Each one is undone by nothing but the end of the process.
"""

from __future__ import annotations

__all__: list[str] = []
