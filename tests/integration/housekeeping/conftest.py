"""The front door's fixtures."""

from fixtures.edge import binary, certificates, edge, shared_edge

__all__ = ["binary", "certificates", "edge", "shared_edge"]
