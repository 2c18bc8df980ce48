"""Bare machines for the scripts."""

from fixtures.machine import machine

__all__ = ["machine"]
