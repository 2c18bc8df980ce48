"""The edge's fixtures, and the listeners'."""

from fixtures.edge import binary, certificates, edge, shared_edge
from fixtures.listeners import opened

__all__ = ["binary", "certificates", "edge", "opened", "shared_edge"]
