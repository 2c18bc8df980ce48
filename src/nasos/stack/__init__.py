"""The embedded one-machine stack: real servers, supervised, each under its own credential.

==================  ======================================================================
``binaries``        where the programs are; pinned digests
``verified``        becomes one of them, after another look at its digest
``housekeeping``    logs, disks, ballast
``boot``            a systemd unit that starts it
``home``            the state directory: record, directories, owners, unseal key
``ports``           where everything listens, and who sits on a port of ours
``users``           one uid per service when run as root
``postgres``        cluster, TLS, roles whose passwords are in Vault
``programs``        what runs, in which order, with which command line
``program``         one of them, as supervisord is told of it
``supervisor``      supervisord: start, tell, ask, stop
``recorded``        a process that wrote down who it is, so that exactly it can be ended
``keeper``          runs a program as a group that leaves nothing behind
``bootstrap``       Vault's bootstrap as the stack needs it
``embedded``        one stack, and what speaks to its parts
``configuration``   the files that programs are configured with
``edge``            nginx's configuration for this stack
``health``          proven health, not a live pid
``log``             a program's log, and the line in it that says why
``watch``           whether a program that is waited for gave up
``sequence``        ``up`` and ``down``
``demo_exchange``   a synthetic market on loopback
==================  ======================================================================
"""
