"""Certificates and the HTTPS edge.

==================  ==================================================================================
``names``           host names and addresses as they may stand in certificates and ``server_name``
``certificate``     keys, requests, verification; the ``Issuer`` seam: request in, chain out
``signing``         the two shapes of certificate that the development CA signs
``dev_ca``          the development CA: opened, extended, asked to sign
``leaf``            one service's certificate and key on disk: issued, renewed, healed
``development``     all certificates of the one-machine stack
``profile``         Mozilla's TLS profile, as data with its provenance
``nginx``           the edge's configuration: from one template, for the nginx at hand, checked before use
==================  ==================================================================================
"""

from __future__ import annotations

from nasos.tls.certificate import Issuer
from nasos.tls.dev_ca import DevCa
from nasos.tls.development import SERVICES, Standing, State, edge_hosts, issue_all, standings
from nasos.tls.leaf import Leaf, ensure_leaf
from nasos.tls.nginx import EdgeConfig, NginxBuild

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
