"""A zone's security as code: what is wanted, what is there, and the difference, which touches only what is ours.

============  =======================================================================
``settings``  the zone's settings, and the slow way to HSTS (pure)
``rules``     our rules in each phase, within the plan's limits (pure)
``plan``      wanted minus observed (pure)
``read``      what the zone holds
``carry``     a plan carried out, again and again until nothing is left
============  =======================================================================
"""
