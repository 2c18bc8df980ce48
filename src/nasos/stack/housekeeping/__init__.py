"""Logs that do not grow for ever, and a disk that does not run full unseen: one small supervised program.

==============  ==========================================================================
``duties``      what this stack has to be kept in order: its logs, its disks
``archives``    names of what was put aside, and what of it has to go; pure
``rotate``      put a log aside, wait until its writer let go of it, compress it
``forecast``    how the room on a disk shrinks, and how many days that leaves; pure
``ballast``     space held back, given up when a disk is full, taken again later
``state``       what the program knows, for ``nasos status`` and ``nasos check``
``rounds``      one round after the other: the loop
``report``      what it has to say, for ``nasos status``
==============  ==========================================================================

Who it is: the operator's own user, or root where every service has a user of its own. It confines itself with Landlock
before its first look (log directories, ledger, its own run directory), works on a service's files with that service's
user, and so can neither read a key nor be led out of a directory by a link that a service put there.
"""
