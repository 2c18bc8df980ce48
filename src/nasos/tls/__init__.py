"""Certificates and the HTTPS edge.

==================  ==================================================================================
``names``           host names and addresses as they may stand in certificates and ``server_name``
``certificate``     keys, requests, verification
``issuer``          the seam to whoever signs: request in, chain out
``signing``         the two shapes of certificate that the development CA signs
``dev_ca``          the development CA: opened, extended, asked to sign
``leaf``            one service's certificate and key on disk: issued, renewed, healed
``development``     all certificates of the one-machine stack
``chain``           what a foreign issuer sent, judged before anything is replaced by it
``acme``            an issuer by ACME (RFC 8555), with renewal information (RFC 9773)
``dns01``           challenges put into the DNS by a program of the user's
``propagation``     whether they can be seen there
``renewal``         when to renew, when to try again, when to alert: rules without a clock or a file
``attempts``        what is remembered between two looks
``pairs``           certificate and key swapped as one, and back
``trust``           by what clients verify the edge
``standing``        how each certificate stands
``profile``         Mozilla's TLS profile, as data with its provenance
``nginx``           the edge's configuration: from one template, for the nginx at hand, checked before use
==================  ==================================================================================
"""

from __future__ import annotations

from nasos.tls.dev_ca import DevCa
from nasos.tls.development import SERVICES, edge_hosts, issue_all
from nasos.tls.issuer import Issuer
from nasos.tls.leaf import Leaf, ensure_leaf
from nasos.tls.nginx import EdgeConfig, NginxBuild
from nasos.tls.standing import Standing, State, standings

__all__ = [
    "SERVICES",
    "DevCa",
    "EdgeConfig",
    "Issuer",
    "Leaf",
    "NginxBuild",
    "Standing",
    "State",
    "edge_hosts",
    "ensure_leaf",
    "issue_all",
    "standings",
]
