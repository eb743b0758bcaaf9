"""Plausible work for the inventory: a workshop day at a bounded rate, with honest mistakes in it.

``python -m examples.inventory.traffic --url http://127.0.0.1:8000`` looks around, fills the shelves, does everything once, then adds and
removes stock, edits kits, picks and shops, asks others, signs in, and now and then asks for what is not there or not possible. The same
seed on an empty database gives the same day.
"""

from .day import Traffic
from .visitor import UnreachableError

__all__ = ["Traffic", "UnreachableError"]
