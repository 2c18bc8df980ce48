"""The one front door: who may do what at the bot, by which proof, for how long.

* `access`: roles and freqtrade's endpoints, denied by default.
* `tokens`: Ed25519 access tokens of minutes.
* `sessions`: families of refresh tokens, rotated on use, revocable at once.
* `api_tokens`: tokens for machines, with a role, bots and an end.
* `enrolments`: one-time links for a second factor; `newcomers` who use them.
* `opaque`: how a random token looks, and what is kept of it.
* `throttle`: how long who has to wait after failed attempts.
"""
