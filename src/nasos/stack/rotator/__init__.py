"""The program that rotates by the timetable: a shell that waits, and every five minutes a process that looks and ends.

``loop.sh``   waits (less after a look that failed), starts a look, ends with its supervisor; 0.2 MB where Python has 20
``__main__``  one look: confined, local as long as nothing is to be done, else everything by `rotation.due`
``duties``    what it is told by ``nasos up``
``state``     what it knows from the look before; whether this one has to ask Vault
``report``    what ``nasos status`` says of it

Who it is: the operator's own user, or root where every service has a user of its own: it records in root's ledger, and
writes the services' credentials. It confines itself with Landlock before it reads one: those files, and the ports of
Vault, PostgreSQL and the bot. It never starts, stops or restarts a program.
"""
