"""The program that watches: it records what programs do, follows the ledgers, and tells people.

``listener``   supervisord's events, as it sends them: starts, exits, failures
``rounds``     follow the ledgers, decide, deliver, try again
``memory``     what it knows from Vault: ``channels``, where alerts go, and ``anchor``, where the ledgers ended
``report``     what ``nasos status`` says of it
``state``      what must survive a kill: places, what was said, what is still to be said

Rules: at least once: an alert is on disk before it is sent and goes from there when it was delivered. It goes on
through every trouble of the moment (Vault away, receiver down, disk full), and never holds anybody else up.
"""
