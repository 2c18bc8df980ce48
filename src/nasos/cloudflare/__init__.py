"""Cloudflare: DNS records by container labels, as plans that touch only what we own.

=============== =======================================================================
``governor``    when the next request may go out (pure)
``answers``     what Cloudflare answers, typed
``refusal``     its no, as one of our errors
``wire``        one request to its API, on httpx
``names``       host names, and which zone one belongs to (pure)
``ownership``   which records are ours (pure)
``labels``      what containers ask for (pure)
``plan``        wanted minus observed, in one zone (pure)
``compose``     labels from a compose file
``memory``      since when nobody asks for which record
``client``      questions and changes: patience, repetition, lost answers
``dns``         zones and records, read; a batch, sent
``apply``       a plan carried out until the zone is as it should be
``tokens``      where the API tokens are in Vault
``zone``        the zone's security: settings and rules
``feed``        where containers come from: ``engine`` (Docker), ``compose_file``; ``feeds``
``companion``   zones that follow containers; ``site``, ``standing`` and ``stop`` are its parts
``docker_view`` names, states and labels of containers, without Docker's socket
=============== =======================================================================

httpx and PyYAML are the extra ``cloudflare``; nothing here is imported before a command of this package runs. The
official SDK is the oracle in the tests: it weighs 57 MB, repeats a POST whose answer was lost, and ignores a
``Retry-After`` of more than a minute (measured, 5.9.0).
"""
