"""Backup and restore of the embedded stack: one encrypted file, and a whole stack out of it.

==============  =========================================================================
``manifest``    what is inside, with digests, and the proof that it belongs to an unseal key
``encryption``  age, to a passphrase or to recipients
``archive``     the file: tar, zstd, age; written whole or not at all, read with suspicion
``files``       which files of the state directory, and how they come back
``database``    PostgreSQL: roles and databases
``save``        making a backup
``newest``      when the last one was made
``staging``     a state directory beside the real one, until it takes its place
``restore``     from a file to a stack
``key``         the unseal key of a restore
``proof``       every credential logs in, or is mended, or is named
==============  =========================================================================
"""
