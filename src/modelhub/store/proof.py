"""Proofs: what spares a second reading of a file that was hashed before.

A proof is what `fstat` said of the very file that was hashed. As long as the system says the
same on the same host, the bytes are the same, because every write moves the modification time to
the clock's current reading, except when that reading is the recorded one. So two things
are needed of a recorded modification time:

- *It is compared exactly*, with size, inode, device and change time. The change time cannot be
  set by a program, so a forged modification time shows there.
- *It is settled*: older, by more than the coarsest clock (two seconds, FAT), than any write
  that could follow the proof. Git has the same rule for its index ("racy git").

A file that was just written is not settled, and would have to be hashed again on its next
use. But the store owns its files, so it does not wait: it sets the modification time three
seconds back *before* it takes the proof (`back_dated`). From then on a write always shows, however
soon it comes: it would put the present there. That argument needs no host clock: setting the
time made the file system stamp its own present as the change time, and what counts is the distance
of the two (`settled`). Only where the store may not set times (a foreign owner) does the time
of recording have to do: the first use more than two seconds after the last write
hashes once more and is trusted from then on.

A proof that does not hold is only no proof: the file is hashed again and the proof renewed.
"""

import os
import platform
from functools import cache
from hashlib import sha256
from pathlib import Path

from modelhub.facts import Proof

GRAIN_NS = 2_000_000_000
_BACK_NS = 3_000_000_000
_MACHINE_ID = ("/etc/machine-id", "/var/lib/dbus/machine-id")


@cache
def host_id() -> str:
    """This machine, the same after every boot: its machine-id, else its name, hashed."""
    identity = next(filter(None, map(_first_line, _MACHINE_ID)), "") or platform.node()
    return sha256(f"modelhub host {identity}".encode()).hexdigest()[:16]


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def take(stat: os.stat_result, host: str, now_ns: int) -> Proof:
    """The proof that a file hashed *after* `stat` was taken has the bytes that were hashed."""
    return Proof(
        host=host,
        device=stat.st_dev,
        inode=stat.st_ino,
        size=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
        ctime_ns=stat.st_ctime_ns,
        recorded_ns=now_ns,
    )


def back_dated(stat: os.stat_result) -> int | None:
    """The modification time to set before hashing; `None` when the file's own is settled."""
    if stat.st_ctime_ns - stat.st_mtime_ns > GRAIN_NS:
        return None
    return min(stat.st_mtime_ns, stat.st_ctime_ns) - _BACK_NS


def settled(proof: Proof) -> bool:
    """Whether every write after the proof must show in the modification time."""
    return max(proof.ctime_ns, proof.recorded_ns) - proof.mtime_ns > GRAIN_NS


def holds(proof: Proof | None, stat: os.stat_result, host: str) -> bool:
    """Whether a file that looks like `stat` has the bytes that were hashed for `proof`."""
    return (
        proof is not None
        and proof.host == host
        and proof.device == stat.st_dev
        and proof.ctime_ns == stat.st_ctime_ns
        and _same_bytes(proof, stat)
        and settled(proof)
    )


def renewed(proof: Proof, after: os.stat_result, now_ns: int) -> Proof:
    """The proof after the store itself gave the file another link.

    A link moves only the change time. `proof` held just before; it is settled, so a write in
    between would show in the modification time, and then the old proof, which does not hold, stays.
    """
    if not (settled(proof) and _same_bytes(proof, after)):
        return proof
    return proof.model_copy(update={"ctime_ns": after.st_ctime_ns, "recorded_ns": now_ns})


def _same_bytes(proof: Proof, stat: os.stat_result) -> bool:
    return (
        proof.inode == stat.st_ino and proof.size == stat.st_size and proof.mtime_ns == stat.st_mtime_ns
    )
