"""The key of the static seal: where it is, how Vault gets it, and how it is replaced.

==============  =========================================================================
``keys``        which files hold it, by what names, and what is said when none does
``memory``      a copy that is on no disk, for Vault to start with
``wrapping``    the key under a passphrase
``credential``  the key as systemd passes it
``opening``     before a start: the key where Vault finds it
``protection``  to a passphrase and back
``rotation``    another key in its place
==============  =========================================================================
"""
