"""What every store can do, wherever its bytes lie."""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from modelhub.errors import IntegrityError, ModelHubError, StoreUnavailable
from modelhub.facts import BlobRecord, Snapshot, SnapshotFile, StoreCapabilities
from modelhub.refs import Digest, RepoPath
from modelhub.store import layout
from modelhub.store.adopting import AdoptMode
from modelhub.store.blobs import Clock
from modelhub.store.fsops import Check, FsOps, OnBytes
from modelhub.store.intake import ByteStream, Expected
from modelhub.store.layout import LinkChoice
from modelhub.store.levels import Level
from modelhub.store.options import PLAIN, StoreOptions
from modelhub.store.ports import Batch, Below, Ledger, Part
from modelhub.store.reading import Stream
from modelhub.store.upkeep import Upkeep


class Store(Upkeep, ABC):
    """Blobs under their digests, with a ledger that remembers what was proven of them.

    Safe to share between threads; several processes may use one place with one ledger. Callbacks:
    `on_bytes(count)` is told of every chunk that was received or hashed, in bytes; `check()` is
    called between chunks and may raise to stop the work.

    A subclass names the `schemes` of the places that it opens; `""` is a path.
    """

    _by_scheme: ClassVar[dict[str, type["Store"]]] = {}

    def __init_subclass__(cls, *, schemes: Collection[str] = (), **rest: object) -> None:
        super().__init_subclass__(**rest)
        Store._by_scheme.update(dict.fromkeys(schemes, cls))

    @classmethod
    def open(
        cls,
        place: str | os.PathLike[str],
        ledger: Ledger,
        *,
        ops: FsOps | None = None,
        clock: Clock = time.time_ns,
        host: str | None = None,
        options: StoreOptions = PLAIN,
    ) -> "Store":
        """The store at `place`: a folder or `file:///folder`, made when it is missing, `s3://bucket/prefix`,
        or `memory://name`, objects in this process.

        `clock` gives nanoseconds since 1970; `host` names the machine in proofs. What writers that
        died more than a day ago left in `tmp` is removed.

        Raises:
            StoreUnavailable: another scheme; a folder that cannot be made, read or written.
            InvalidInput: `options.link_mode` is none, or one that the file system does not have.
        """
        scheme = scheme_of(place)
        if (kind := cls._by_scheme.get(scheme)) is None:
            reason = f"it is on {scheme}://"
            raise StoreUnavailable(
                f"the store {str(place)!r} cannot be used: {reason}",
                hint="These stores work: file:///folder, s3://bucket/prefix.",
                store=str(place),
                reason=reason,
            )
        return kind.open(place, ledger, ops=ops, clock=clock, host=host, options=options)

    @property
    @abstractmethod
    def root(self) -> Path:
        """The folder of this host that has snapshots and the files that they link."""

    @property
    @abstractmethod
    def uri(self) -> str:
        """Where the store is, as `scheme://…`."""

    @property
    @abstractmethod
    def capabilities(self) -> StoreCapabilities:
        """What its file system can do, tried at the first question.

        Raises:
            StoreFull, StoreUnavailable
        """

    @property
    def lower(self) -> tuple[Below, ...]:
        """The stores below it, which are only read; asked in this order."""
        return ()

    def probe(self) -> str:
        """Ask the store's server whether it answers: what can be done here, in a line.

        Raises:
            StoreUnavailable, AccessDenied
        """
        return f"{self.root} can be written"

    @property
    @abstractmethod
    def link_mode(self) -> LinkChoice:
        """How large files come into its snapshots."""

    @abstractmethod
    def require_link_mode(self, mode: LinkChoice) -> None:
        """Refuse a way to link that is none, or that the file system does not have.

        Raises:
            InvalidInput: it says what the file system has.
            StoreFull, StoreUnavailable
        """

    @abstractmethod
    def free(self) -> int | None:
        """Free bytes of its file system; `None` where that does not say."""

    @abstractmethod
    def require_room(self, sizes: Mapping[str, int], what: str = "what is fetched") -> None:
        """Refuse blobs of these sizes, in bytes, when what is not here of all of them does not fit.

        They go by their digests, or by any name where that is not known.

        Raises:
            StoreFull: with the arithmetic.
        """

    @abstractmethod
    def path(self, digest: Digest) -> Path:
        """Where the blob is, or would be."""

    @abstractmethod
    def put(
        self,
        stream: ByteStream,
        *,
        expect: Expected,
        on_bytes: OnBytes | None = None,
        check: Check | None = None,
    ) -> BlobRecord:
        """Take all bytes of `stream`; they get their name only if they are the promised ones.

        Bytes that are here already are compared and not stored again.

        Raises:
            IntegrityError: other bytes, fewer or more than promised; nothing is kept.
            StoreFull: before the first byte when `expect.size` does not fit, else when it happens.
            StoreUnavailable: the folder cannot be written.
        """

    @abstractmethod
    def adopt(
        self,
        path: str | os.PathLike[str],
        expect: Expected | None = None,
        *,
        root: str | os.PathLike[str] | None = None,
        mode: AdoptMode = "auto",
        trusted: bool = False,
        on_bytes: OnBytes | None = None,
        check: Check | None = None,
    ) -> BlobRecord:
        """Take a file of this machine that belongs to somebody else; it stays where it is.

        With `root`, `path` is a name below that folder, and no part of it may be a link; without, this
        holds of the file alone. `mode`: `auto` shares the file's blocks where the file system can
        (`reflink`), else copies; the other modes are that or an error. A `hardlink` is the very file, which
        takes no room, and which its owner can still change: the next look at its times shows that. A file
        with several names is only taken from a `trusted` folder, into which nobody else can link.

        Raises:
            UnsafePath: no regular file, a link on the way, a name that is none, a file with other names.
            InvalidInput, AccessDenied: there is no such file, or it cannot be read; no such mode.
            IntegrityError: other bytes than expected; nothing is kept.
            StoreFull, StoreUnavailable: it cannot be stored, or not so.
        """

    @abstractmethod
    def batch(self) -> AbstractContextManager[Batch]:
        """Stores many small files, from any thread, in a fraction of the time that `put` takes for each.

        They become blobs in groups, the last at the end of the context. An error ends the context, and
        what is whole until then is kept.

        Raises:
            StoreFull, StoreUnavailable: at the end, too.
        """

    @abstractmethod
    def receive(
        self, expect: Expected, *, on_bytes: OnBytes | None = None, check: Check | None = None
    ) -> AbstractContextManager[Part]:
        """A part of a blob to fill in ranges: what is `missing` of it, from any thread.

        One writer at a time: while another process or thread has the part, this waits, asking `check`,
        and takes over at once when the other dies. When the blob is here meanwhile or already, the part
        has its `record`. Without `finish`, what was written is made durable and kept for the next who
        asks; what is kept is read again then, as `on_bytes` is told.

        Raises:
            InvalidInput: `expect` has no sha256 or no size; use `put`.
            StoreFull: before the first byte when the rest does not fit beside what others receive.
            StoreUnavailable: the folder cannot be written.
        """

    @abstractmethod
    def find(self, digests: Iterable[Digest]) -> Mapping[Digest, BlobRecord]:
        """The records of those that are here, by one query and a look at each file.

        A file that is gone is recorded as missing; one that has come back, as present.
        """

    def present(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """Those that are here; see `find`."""
        return frozenset(self.find(digests))

    @abstractmethod
    def known(self, digests: Iterable[Digest]) -> frozenset[Digest]:
        """Those whose file is here, right or wrong, and those that were here once."""

    @abstractmethod
    def read(self, digest: Digest, limit: int) -> bytes:
        """The bytes of a small blob, hashed as they are read.

        Raises:
            InvalidInput: it has more than `limit` bytes.
            ArtifactNotFound: it is not here.
            IntegrityError: it held other bytes, and is in quarantine now.
        """

    @abstractmethod
    def stream(
        self, digest: Digest, start: int, end: int, *, check: Check | None = None
    ) -> AbstractContextManager[Stream]:
        """The bytes of a blob from `start` to before `end`, as they lie here: nobody has vouched for them.

        Raises:
            ArtifactNotFound: it is not here.
            StoreUnavailable: it cannot be read.
        """

    def lend(self, other: "Store", digest: Digest, *, check: Check | None = None) -> bool:
        """Let `other` have a blob without copying its bytes; False, and nothing was done, where that cannot be.

        Raises:
            ArtifactNotFound: it is not here.
            IntegrityError: it holds other bytes; it stays where it is.
            StoreUnavailable
        """
        del other, digest, check
        return False

    @abstractmethod
    def verify(
        self,
        digests: Iterable[Digest],
        level: Level = "proof",
        *,
        on_bytes: OnBytes | None = None,
        check: Check | None = None,
    ) -> Mapping[Digest, BlobRecord]:
        """The records of blobs that are right.

        `proof`: by one query and a look at each file; a blob without a proof that holds is hashed, and
        its proof renewed. `full`: every blob is hashed. `off`: what is on record is believed.

        Raises:
            IntegrityError: some held other bytes; they are in quarantine now. `details["digests"]`
                names all that must be fetched again, missing ones too.
            ArtifactNotFound: some are not here (`details["digests"]`).
            StoreUnavailable: one cannot be read.
        """

    @abstractmethod
    def stale(self, before: datetime, limit: int) -> Sequence[BlobRecord]:
        """Blobs that this host has not hashed since `before`: never hashed ones first, then the longest
        ago; at most `limit`.
        """

    @abstractmethod
    def recheck(
        self, digest: Digest, *, on_bytes: OnBytes | None = None, check: Check | None = None
    ) -> BlobRecord:
        """Hash a blob whatever its proof says, however slowly the callbacks let it: nobody waits for it
        meanwhile, and what it read does not stay in the page cache.

        Raises:
            ArtifactNotFound: it is not here.
            IntegrityError: it held other bytes, and is in quarantine now.
            StoreUnavailable: it cannot be read.
        """

    @abstractmethod
    def link(
        self,
        vendor: str,
        name: str,
        commit: str,
        files: Mapping[RepoPath, Digest],
        *,
        level: Level = "proof",
        link_mode: LinkChoice | None = None,
        on_bytes: OnBytes | None = None,
        check: Check | None = None,
    ) -> Snapshot:
        """Verify `files` and make or extend the snapshot folder so that it has them.

        What is right already is left alone, what is wrong is replaced, other files stay; every
        file appears whole or not at all. How each hangs together with its blob is in `.files`; `link_mode` says how it shall (by
        default as the store was opened).

        Raises:
            IntegrityError, ArtifactNotFound: as `verify`.
            UnsafePath: two of the names collide, or the repository's name is none.
            InvalidInput: the file system has no such `link_mode`.
            StoreFull, StoreUnavailable
        """

    @abstractmethod
    def export(
        self,
        folder: str | os.PathLike[str],
        files: Mapping[RepoPath, Digest],
        *,
        on_bytes: OnBytes | None = None,
        check: Check | None = None,
    ) -> tuple[SnapshotFile, ...]:
        """Verify `files` and put them into a folder outside of the store, made where it is missing.

        Each appears whole, in place of what is there: linked as in a snapshot, never symbolically.

        Raises:
            IntegrityError, ArtifactNotFound, UnsafePath, StoreFull, StoreUnavailable: as `link`.
        """

    @staticmethod
    def snapshot_path(vendor: str, name: str, commit: str) -> str:
        """Where `link` makes the folder of a commit, below the root.

        Raises:
            UnsafePath: the repository's name is none.
        """
        return f"{layout.SNAPSHOTS}/{layout.snapshot_folder(vendor, name, commit)}"


def scheme_of(place: str | os.PathLike[str]) -> str:
    """The scheme before `://` in small letters; `""` for a path."""
    scheme, colon, _ = os.fspath(place).partition("://")
    return scheme.lower() if colon and isinstance(place, str) else ""


def together(failures: list[ModelHubError]) -> ModelHubError:
    """One error for several blobs: the worst, with all their digests in its details."""
    worst = next((one for one in failures if isinstance(one, IntegrityError)), failures[0])
    for name in ("digests", "damaged"):
        worst.details[name] = [each for one in failures for each in one.details.get(name, ())]
    return worst
