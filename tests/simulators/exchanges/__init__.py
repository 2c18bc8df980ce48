"""Exchanges that answer about API keys as their documentation says; no code of ours helps them to."""
