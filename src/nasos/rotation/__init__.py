"""Rotation that proves itself: the new credential works, the old one is dead, nothing stopped.

==============  =====================================================================
``rotator``     the seams: `Rotator`, `Consumer`, `Unit`
``journal``     what is about to be done, in Vault before it is done
``transition``  what follows from a step and its outcome (pure)
``run``         does the steps
``engine``      rotate, roll back, resume
``lease``       one rotator at a time, on any number of machines
``postgres``    two database roles that take turns
``password``    random values that live in Vault only
==============  =====================================================================
"""
