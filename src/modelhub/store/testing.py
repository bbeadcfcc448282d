"""What every store must do, as tests to inherit.

    class TestMyStore(StoreContract):
        @pytest.fixture
        def store(self): ...

        def raw(self, store, digest): ...

The four methods that subclasses write are the oracle: they reach the bytes by another road than the
store, so that a store cannot agree with itself in error.
"""

import hashlib
import io
import threading
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelhub.errors import ArtifactNotFound, Cancelled, IntegrityError, InvalidInput, UnsafePath
from modelhub.facts import BlobRecord, BlobState
from modelhub.refs import Digest, RepoPath
from modelhub.store.base import Store
from modelhub.store.blocks import BLOCK
from modelhub.store.intake import Expected

COMMIT = "c0ffee" * 6 + "c0de"


def pattern(size: int, seed: int = 0) -> bytes:
    """`size` bytes that do not repeat, the same for the same seed."""
    return hashlib.shake_128(b"modelhub %d" % seed).digest(size)


class Dribble:
    """A stream that gives at most `step` bytes at a time, and knows how many it gave."""

    def __init__(self, data: bytes, step: int = 1 << 16) -> None:
        self._file = io.BytesIO(data)
        self._step = step
        self.given = 0

    def readinto(self, buffer: memoryview, /) -> int:
        count = self._file.readinto(buffer[: self._step])
        self.given += count
        return count


def promise(data: bytes, name: str = "model.gguf") -> Expected:
    """What an honest source says of `data`."""
    return Expected(sha256=Digest.of(data), size=len(data), name=name)


def put(store: Store, data: bytes, name: str = "model.gguf") -> BlobRecord:
    """Store `data` as an honest source would."""
    return store.put(io.BytesIO(data), expect=promise(data, name))


class StoreContract(ABC):
    """Inherit, give a fixture `store` with an empty store, and the oracle."""

    @abstractmethod
    def raw(self, store: Store, digest: Digest) -> bytes | None:
        """The bytes that are visible under `digest`, read around the store; `None` without any."""

    @abstractmethod
    def visible(self, store: Store) -> set[str]:
        """Every name under which a blob is visible."""

    @abstractmethod
    def spoil(self, store: Store, digest: Digest) -> None:
        """Flip one bit of the blob, around the store."""

    @abstractmethod
    def remove(self, store: Store, digest: Digest) -> None:
        """Delete the blob, around the store."""

    # put

    def test_bytes_are_stored_under_their_hash(self, store: Store) -> None:
        data = pattern(3_000_000)
        record = store.put(Dribble(data), expect=promise(data))
        assert (record.digest, record.size) == (hashlib.sha256(data).hexdigest(), len(data))
        assert record.state is BlobState.PRESENT
        assert self.raw(store, record.digest) == data
        assert self.visible(store) == {record.digest}

    def test_nothing_needs_to_be_promised(self, store: Store) -> None:
        record = store.put(io.BytesIO(b"{}"), expect=Expected())
        assert self.raw(store, record.digest) == b"{}"

    def test_a_file_of_this_machine_is_adopted(self, store: Store, tmp_path: Path) -> None:
        data = pattern(100_000)
        (tmp_path / "theirs.gguf").write_bytes(data)
        (tmp_path / "link.gguf").symlink_to("theirs.gguf")
        with pytest.raises(UnsafePath):
            store.adopt("link.gguf", root=tmp_path)
        with pytest.raises(IntegrityError):
            store.adopt("theirs.gguf", promise(data[:-1] + b"!"), root=tmp_path)
        assert self.visible(store) == set()
        record = store.adopt("theirs.gguf", promise(data), root=tmp_path)
        assert self.raw(store, record.digest) == (tmp_path / "theirs.gguf").read_bytes() == data

    def test_blobs_are_exported(self, store: Store, tmp_path: Path) -> None:
        large, small = put(store, pattern(100_000)), put(store, b"{}")
        files = {RepoPath("a/model.gguf"): large.digest, RepoPath("config.json"): small.digest}
        for _ in range(2):
            made = store.export(tmp_path / "out", files)
            assert [(one.path, one.sha256) for one in made] == list(files.items())
            for path, digest in files.items():
                assert (tmp_path / "out" / path).read_bytes() == self.raw(store, digest)
        with pytest.raises(ArtifactNotFound):
            store.export(tmp_path / "out", {RepoPath("x"): Digest.of(b"never stored")})
        assert not (tmp_path / "out" / "x").exists()

    def test_no_bytes_are_bytes_too(self, store: Store) -> None:
        record = put(store, b"")
        assert self.raw(store, record.digest) == b""
        assert store.read(record.digest, 0) == b""

    def test_every_byte_is_reported(self, store: Store) -> None:
        counts: list[int] = []
        data = pattern(300_000)
        store.put(Dribble(data), expect=promise(data), on_bytes=counts.append)
        assert sum(counts) == len(data)
        assert len(counts) > 1

    def test_a_wrong_hash_is_refused(self, store: Store) -> None:
        data, wrong = pattern(100_000), Digest.of(b"something else")
        expect = Expected(sha256=wrong, size=len(data), name="a/model.gguf")
        with pytest.raises(IntegrityError, match=r"a/model\.gguf") as caught:
            store.put(Dribble(data), expect=expect)
        assert caught.value.details["path"] == "a/model.gguf"
        assert caught.value.details["expected"] == wrong
        assert caught.value.details["actual"] == hashlib.sha256(data).hexdigest()
        assert self.visible(store) == set()
        assert not store.present([wrong, Digest.of(data)])

    def test_a_truncated_stream_is_refused(self, store: Store) -> None:
        data = pattern(100_000)
        with pytest.raises(IntegrityError, match=r"100000.*99999"):
            store.put(Dribble(data[:-1]), expect=promise(data))
        assert self.visible(store) == set()

    def test_an_over_long_stream_is_stopped(self, store: Store) -> None:
        data = pattern(1000)
        stream = Dribble(data + bytes(50_000_000))
        with pytest.raises(IntegrityError, match="more than 1000"):
            store.put(stream, expect=promise(data))
        assert stream.given < 10_000_000
        assert self.visible(store) == set()

    def test_git_blob_ids_are_compared_where_no_sha256_is_known(self, store: Store) -> None:
        # printf 'hello\n' | git hash-object --stdin
        oid = "ce013625030ba8dba906f756967f9e9ca394464a"
        for size in (6, None):
            expect = Expected(git_oid=oid, size=size, name="greeting.txt")
            record = store.put(io.BytesIO(b"hello\n"), expect=expect)
            assert self.raw(store, record.digest) == b"hello\n"
            with pytest.raises(IntegrityError, match=oid):
                store.put(io.BytesIO(b"Hello\n"), expect=expect)
        assert self.visible(store) == {Digest.of(b"hello\n")}

    def test_a_known_sha256_outranks_a_git_blob_id(self, store: Store) -> None:
        # For a large file, git's id is only its pointer's.
        expect = Expected(sha256=Digest.of(b"weights"), git_oid="0" * 40)
        assert store.put(io.BytesIO(b"weights"), expect=expect).size == 7

    def test_a_cancelled_put_leaves_nothing(self, store: Store) -> None:
        data = pattern(5_000_000)
        stream = Dribble(data)

        def stop() -> None:
            if stream.given > 1_000_000:
                raise Cancelled("enough")

        with pytest.raises(Cancelled):
            store.put(stream, expect=promise(data), check=stop)
        assert stream.given < len(data)
        assert self.visible(store) == set()
        assert put(store, data).size == len(data)

    def test_an_error_of_the_stream_passes_unchanged(self, store: Store) -> None:
        class Broken:
            def readinto(self, _buffer: memoryview, /) -> int:
                raise ConnectionResetError("gone")

        with pytest.raises(ConnectionResetError, match="gone"):
            store.put(Broken(), expect=Expected(size=10))
        assert self.visible(store) == set()

    def test_equal_bytes_are_stored_once(self, store: Store) -> None:
        data = pattern(200_000)
        first = put(store, data, "one.gguf")
        second = put(store, data, "two.gguf")
        assert first.digest == second.digest
        assert self.visible(store) == {first.digest}

    def test_a_race_for_one_digest_has_one_blob(self, store: Store) -> None:
        data = pattern(2_000_000)
        start = threading.Barrier(8)

        def one(_n: int) -> BlobRecord:
            start.wait(30)
            return store.put(Dribble(data, 50_000), expect=promise(data))

        with ThreadPoolExecutor(8) as pool:
            records = list(pool.map(one, range(8)))
        assert {record.digest for record in records} == {Digest.of(data)}
        assert self.visible(store) == {Digest.of(data)}
        assert self.raw(store, Digest.of(data)) == data
        assert store.verify([Digest.of(data)])

    # receive and batch

    def test_a_blob_arrives_in_ranges(self, store: Store) -> None:
        data = pattern(BLOCK + 999)
        with store.receive(promise(data)) as part:
            assert (part.size, part.record, part.missing) == (len(data), None, ((0, len(data)),))
            part.write(BLOCK, memoryview(data)[BLOCK:])
            assert self.visible(store) == set()
            part.write(0, memoryview(data)[:BLOCK])
            record = part.finish(lambda: None)
        assert self.raw(store, record.digest) == data
        with store.receive(promise(data)) as part:
            assert part.missing == ()
            assert part.record == record

    def test_an_interruption_keeps_whole_blocks(self, store: Store) -> None:
        data = pattern(BLOCK + 999)
        with store.receive(promise(data)) as part:
            part.write(0, memoryview(data)[: BLOCK + 10])
        with store.receive(promise(data)) as part:
            assert part.missing == ((BLOCK, len(data)),)
            part.write(BLOCK, memoryview(data)[BLOCK:])
            record = part.finish(lambda: None)
        assert self.raw(store, record.digest) == data

    def test_other_bytes_in_ranges_are_refused(self, store: Store) -> None:
        data = pattern(70_000)
        with store.receive(promise(data)) as part:
            part.write(0, memoryview(data[::-1]))
            with pytest.raises(IntegrityError):
                part.finish(lambda: None)
        assert self.visible(store) == set()

    def test_many_files_come_together(self, store: Store) -> None:
        files = [pattern(100 + number, number) for number in range(70)]
        with store.batch() as batch, ThreadPoolExecutor(4) as pool:
            digests = list(
                pool.map(lambda data: batch.put(io.BytesIO(data), expect=promise(data)), files)
            )
        assert set(batch.records) == set(digests) == self.visible(store)
        for digest, data in zip(digests, files, strict=True):
            assert self.raw(store, digest) == data

    # find, read

    def test_only_what_is_here_is_found(self, store: Store) -> None:
        here, absent = put(store, b"here").digest, Digest.of(b"absent")
        assert set(store.find([here, absent])) == {here}
        assert store.present([here, absent]) == {here}
        assert store.present([]) == frozenset()

    def test_small_blobs_are_read(self, store: Store) -> None:
        digest = put(store, b'{"a": 1}').digest
        assert store.read(digest, 8) == b'{"a": 1}'
        with pytest.raises(InvalidInput, match="limit of 7"):
            store.read(digest, 7)
        with pytest.raises(ArtifactNotFound):
            store.read(Digest.of(b"absent"), 100)

    def test_reading_never_gives_wrong_bytes(self, store: Store) -> None:
        digest = put(store, b"right bytes").digest
        self.spoil(store, digest)
        with pytest.raises(IntegrityError):
            store.read(digest, 100)
        assert not store.present([digest])

    # verify

    def test_what_is_right_is_verified_at_every_level(self, store: Store) -> None:
        digest = put(store, pattern(100_000)).digest
        for level in ("proof", "full", "off"):
            assert store.verify([digest, digest], level)[digest].size == 100_000

    def test_an_unknown_level_is_refused(self, store: Store) -> None:
        with pytest.raises(InvalidInput, match="proof, full, off"):
            store.verify([], "paranoid")  # type: ignore[arg-type]

    @pytest.mark.parametrize("level", ["proof", "full"])
    def test_a_flipped_bit_is_found_and_set_aside(self, store: Store, level: str) -> None:
        data = pattern(300_000)
        digest, other = put(store, data).digest, put(store, b"other").digest
        self.spoil(store, digest)
        with pytest.raises(IntegrityError) as caught:
            store.verify([other, digest], level)  # type: ignore[arg-type]
        assert caught.value.details["digests"] == [digest]
        assert caught.value.details["expected"] == digest
        assert caught.value.details["actual"] != digest
        assert self.visible(store) == {other}
        assert store.present([digest, other]) == {other}
        assert put(store, data).state is BlobState.PRESENT
        assert store.verify([digest, other], level)  # type: ignore[arg-type]
        assert self.raw(store, digest) == data

    def test_all_that_must_be_fetched_again_is_named(self, store: Store) -> None:
        digests = [put(store, pattern(1000, n)).digest for n in range(4)]
        absent = Digest.of(b"absent")
        self.spoil(store, digests[1])
        self.spoil(store, digests[3])
        self.remove(store, digests[2])
        with pytest.raises(IntegrityError) as caught:
            store.verify([absent, *digests])
        assert set(caught.value.details["digests"]) == {absent, *digests[1:]}
        with pytest.raises(ArtifactNotFound) as missing:
            store.verify([digests[0], absent])
        assert missing.value.details["digests"] == [absent]

    def test_a_blob_deleted_by_hand_means_fetch_again(self, store: Store) -> None:
        data = pattern(100_000)
        digest = put(store, data).digest
        self.remove(store, digest)
        assert store.present([digest]) == frozenset()
        with pytest.raises(ArtifactNotFound):
            store.verify([digest])
        put(store, data)
        assert self.raw(store, digest) == data
        assert store.present([digest]) == {digest}

    def test_a_put_repairs_what_was_spoilt_unnoticed(self, store: Store) -> None:
        data = pattern(100_000)
        digest = put(store, data).digest
        self.spoil(store, digest)
        put(store, data)
        assert self.raw(store, digest) == data

    # link

    def files(self, store: Store) -> dict[RepoPath, bytes]:
        """A small repository, stored."""
        files = {
            RepoPath("config.json"): b'{"model_type": "llama"}',
            RepoPath("model.gguf"): pattern(200_000),
            RepoPath("onnx/model.onnx"): pattern(70_000, 1),
            RepoPath("onnx/model.onnx_data"): pattern(100_000, 2),
            RepoPath("deep/er/again.safetensors"): pattern(200_000),
        }
        for path, data in files.items():
            put(store, data, path)
        return files

    def test_a_snapshot_has_the_repository_s_files(self, store: Store) -> None:
        files = self.files(store)
        digests = {path: Digest.of(data) for path, data in files.items()}
        for _ in range(2):
            snapshot = store.link("Qwen", "tiny", COMMIT, digests)
            assert {file.path: file.sha256 for file in snapshot.files} == digests
            assert (snapshot.repo, snapshot.commit) == ("Qwen/tiny", COMMIT)
            for path, data in files.items():
                assert (snapshot.path / path).read_bytes() == data
        assert store.verify(digests.values())

    def test_a_snapshot_is_extended(self, store: Store) -> None:
        files = self.files(store)
        for path, data in files.items():
            snapshot = store.link("", "gpt2", COMMIT, {path: Digest.of(data)})
        assert snapshot.repo == "gpt2"
        for path, data in files.items():
            assert (snapshot.path / path).read_bytes() == data

    def test_what_is_not_here_is_not_linked(self, store: Store) -> None:
        with pytest.raises(ArtifactNotFound):
            store.link("v", "n", COMMIT, {RepoPath("a.gguf"): Digest.of(b"absent")})

    def test_wrong_bytes_are_not_linked(self, store: Store) -> None:
        for size in (100, 100_000):
            digest = put(store, pattern(size)).digest
            self.spoil(store, digest)
            with pytest.raises(IntegrityError):
                store.link("v", "n", COMMIT, {RepoPath("a.bin"): digest})

    def test_threads_may_build_one_snapshot_at_once(self, store: Store) -> None:
        files = self.files(store)
        digests = {path: Digest.of(data) for path, data in files.items()}
        start = threading.Barrier(6)

        def one(_n: int) -> None:
            start.wait(30)
            store.link("v", "n", COMMIT, digests)

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(one, range(6)))
        snapshot = store.link("v", "n", COMMIT, digests)
        for path, data in files.items():
            assert (snapshot.path / path).read_bytes() == data
        assert store.verify(digests.values())
