"""Moves many files of a repository into a store at once.

Small files stream over kept connections, many at a time, and are stored in batches; of a large one,
several ranges arrive at once where that is faster. What is decided (`ranges`, `pace`) is apart from what
is done (`large`, `small`, by the threads of a `crew`), and `transfer` leads them from the caller's thread.
"""

from modelhub.jobs.download.claims import NoClaims
from modelhub.jobs.download.origin import Origin
from modelhub.jobs.download.ports import Claims
from modelhub.jobs.download.ranges import Measures
from modelhub.jobs.download.transfer import Shared, Transfer

__all__ = ["Claims", "Measures", "NoClaims", "Origin", "Shared", "Transfer"]
