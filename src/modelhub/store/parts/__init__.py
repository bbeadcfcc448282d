"""Blobs that arrive in ranges, from several threads, and go on after an interruption.

`tmp/<sha256>.<host>.part` has the full size from the start and fills from anywhere; its lock says that a
writer lives. Where locks do not keep others out, each writer renames the part to a name of its own first,
and gives it back at the end: no two ever write into one file. `….part.blocks` tells which blocks are durable and what their checksums are; it is
written only after those blocks were, so a crash loses at most what came since. What it says is read
again before it counts, so a bit that flipped in the part costs one block. Without that file, or with
another one's, the part starts over.
"""

from modelhub.store.parts.listing import Unfinished, unfinished
from modelhub.store.parts.receiving import Grain, Parts
from modelhub.store.parts.reservations import reserve, reserve_all

__all__ = ["Grain", "Parts", "Unfinished", "reserve", "reserve_all", "unfinished"]
