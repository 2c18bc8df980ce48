"""Rotation that proves itself: the new credential works, the old one is dead, nothing stopped.

==============  =====================================================================
``rotator``     the seams: `Rotator`, `Consumer`, `Unit`
``journal``     what is about to be done, in Vault before it is done
``transition``  what follows from a step and its outcome (pure)
``run``         does the steps
``procedure``   what is no record in Vault: SecretIDs, Vault's own keys
``engine``      rotate, roll back, resume
``lease``       one rotator at a time, on any number of machines
``postgres``    two database roles that take turns
``admin_roles`` two superusers that take turns
``single_role`` one database role that changes its password
``password``    random values that live in Vault only
``jwt``         what signs and guards the bot's logins
``signing``     the gateway's ring of keys; ``signing_keys`` its rotator
``command``     the user's own program
==============  =====================================================================
"""
