"""A store beside a plain dictionary: whatever is done to both, and by hand to the store, the invariants hold."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from modelhub.errors import ArtifactNotFound, IntegrityError
from modelhub.refs import Digest, RepoPath
from modelhub.store import FileLedger, Store, proof
from modelhub.store.parts import Grain
from modelhub.store.testing import COMMIT, Dribble, pattern, promise
from tests.tally import Tally

BLOCK = 16 << 10
# Empty, small enough to be copied, one block, some blocks, some blocks and a bit.
DATA = [b"", b"{}", pattern(70_000, 1), pattern(5 * BLOCK, 2), pattern(6 * BLOCK + 7, 3)]
DIGESTS = [Digest.of(data) for data in DATA]
NUMBERS = st.sampled_from(range(len(DATA)))
PATHS = [RepoPath(f"part/{number}.{end}") for number in range(len(DATA)) for end in ("gguf", "onnx")]
YEAR = 365 * 86_400 * 10**9


class Shelf(RuleBasedStateMachine):
    """`sure` are blobs that are right, by all that was done; `hurt` those that hands have damaged.

    What hands touched may have gone or be found out at any time; it must never be given out wrong.
    """

    tally = Tally()

    def __init__(self):
        super().__init__()
        shm = Path("/dev/shm")
        self.home = Path(tempfile.mkdtemp(dir=shm if os.access(shm, os.W_OK) else None))
        self.place, self.books, self.ago = self.home / "store", 0, 0
        self.now = 1_700_000_000 * 10**9
        self.sure, self.hurt, self.linked = set(), set(), {}
        self.store = self.ledger = None
        self.reopen()
        for number in range(len(DATA) - 1):
            self.put(number, 1 << 20)

    def reopen(self):
        self.close()
        self.ledger = FileLedger(self.home / f"ledger{self.books}.jsonl")
        self.store = Store.open(self.place, self.ledger, clock=lambda: self.now)
        self.store._parts.grain = Grain(BLOCK, 2 * BLOCK)

    def close(self):
        if self.store:
            self.store.close()
            self.ledger.close()

    def teardown(self):
        self.tally(rounds=1)
        self.close()
        shutil.rmtree(self.home)

    # What a program does

    @rule(number=NUMBERS, step=st.sampled_from([1000, 1 << 20]))
    def put(self, number, step):
        data = DATA[number]
        assert self.store.put(Dribble(data, step), expect=promise(data)).digest == DIGESTS[number]
        self.arrived(number)

    @rule(number=NUMBERS, cut=st.integers(0, 8))
    def put_too_little_or_wrong(self, number, cut):
        data = DATA[number]
        wrong = data[:-cut] if cut and len(data) > cut else data + b"more"
        with pytest.raises(IntegrityError):
            self.store.put(Dribble(wrong), expect=promise(data))

    @rule(number=NUMBERS, first=st.integers(0, 6), last=st.integers(0, 7))
    def receive_some(self, number, first, last):
        data = memoryview(DATA[number])
        with self.store.receive(promise(bytes(data))) as part:
            for start, end in part.missing:
                begin, stop = max(start, first * BLOCK), min(end, last * BLOCK)
                if begin < stop:
                    part.write(begin, data[begin:stop])

    @rule(number=NUMBERS)
    def receive_the_rest(self, number):
        data = memoryview(DATA[number])
        with self.store.receive(promise(bytes(data))) as part:
            for start, end in part.missing:
                part.write(start, data[start:end])
            assert part.finish(lambda: None).digest == DIGESTS[number]
        self.arrived(number)

    def arrived(self, number):
        """Now it is right: what hands have done to it shows in its times."""
        self.tally(detected=number in self.hurt, repaired=number in self.hurt)
        self.hurt.discard(number)
        self.sure.add(number)

    @rule(number=NUMBERS)
    def read(self, number):
        try:
            assert self.store.read(DIGESTS[number], 1 << 20) == DATA[number]
        except (ArtifactNotFound, IntegrityError):
            assert number not in self.sure
            self.gone(number)

    @rule(numbers=st.sets(NUMBERS), level=st.sampled_from(["proof", "full", "off"]))
    def verify(self, numbers, level):
        wanted = [DIGESTS[number] for number in numbers]
        try:
            assert set(self.store.verify(wanted, level)) == set(wanted)
        except (ArtifactNotFound, IntegrityError) as error:
            bad = {DIGESTS.index(digest) for digest in error.details["digests"]}
            assert not bad & self.sure
            for number in bad:
                self.gone(number)
        else:
            if level != "off":
                self.hurt -= numbers
                self.sure |= numbers

    def gone(self, number):
        self.tally(detected=number in self.hurt)
        self.sure.discard(number)
        self.hurt.discard(number)

    @rule(paths=st.sets(st.sampled_from(PATHS), min_size=1))
    def link(self, paths):
        numbers = {path: int(path.name.partition(".")[0]) for path in paths}
        try:
            self.store.link("v", "n", COMMIT, {path: DIGESTS[n] for path, n in numbers.items()})
        except (ArtifactNotFound, IntegrityError) as error:
            bad = {DIGESTS.index(digest) for digest in error.details["digests"]}
            assert not bad & self.sure
            for number in bad:
                self.gone(number)
        else:
            self.linked |= numbers

    @rule(number=NUMBERS, sure=st.booleans())
    def remove(self, number, sure):
        was = DIGESTS[number] in self.store.present([DIGESTS[number]])
        assert self.store.remove(DIGESTS[number], lambda: sure) is sure
        if sure:
            self.gone(number)
        elif was:
            assert self.store.path(DIGESTS[number]).exists()

    @rule()
    def remove_the_snapshot(self):
        self.store.remove_snapshot(f"snapshots/v/n/{COMMIT}")
        self.linked.clear()

    @rule(age=st.sampled_from([-10, 86_400]))
    def sweep(self, age):
        self.store.sweep(older_than=age, parts_older_than=age)

    # What happens around it

    @rule(years=st.sampled_from([-30, -1, 1, 30]))
    def the_clock_jumps(self, years):
        self.now = max(YEAR, self.now + years * YEAR)

    @rule()
    def start_again(self):
        self.reopen()

    @rule()
    def the_ledger_is_lost(self):
        self.books += 1
        self.reopen()

    @rule()
    def the_store_is_moved(self):
        self.close()
        self.ago += 1
        place = self.place.rename(self.home / f"store{self.ago}")
        self.place = place
        self.reopen()

    @rule(number=NUMBERS, at=st.integers(0, 100_000))
    def a_bit_flips(self, number, at):
        path = self.store.path(DIGESTS[number])
        if DATA[number] and path.is_file():
            with path.open("r+b") as file:
                file.seek(at % len(DATA[number]))
                byte = file.read(1)
                file.seek(-1, os.SEEK_CUR)
                file.write(bytes([byte[0] ^ 1]) if byte else b"x")
            self.spoil(number)

    @rule(number=NUMBERS, size=st.sampled_from([0, 1, 50_000, 200_000]))
    def a_blob_is_cut_or_grows(self, number, size):
        path = self.store.path(DIGESTS[number])
        if path.is_file() and path.stat().st_size != size:
            os.truncate(path, size)
            self.spoil(number)

    @rule(number=NUMBERS)
    def a_blob_is_replaced(self, number):
        path = self.store.path(DIGESTS[number])
        if path.is_file():
            path.unlink()
            path.write_bytes(b"something else")
            self.spoil(number)

    @rule(number=NUMBERS)
    def a_blob_is_deleted(self, number):
        self.store.path(DIGESTS[number]).unlink(missing_ok=True)
        self.gone(number)

    def spoil(self, number):
        self.tally(injected=1)
        self.sure.discard(number)
        self.hurt.add(number)
        for path in [path for path, n in self.linked.items() if n == number]:
            del self.linked[path]  # a hard link of it

    @precondition(lambda self: self.linked)
    @rule(data=st.data())
    def a_snapshot_s_file_is_deleted(self, data):
        path = data.draw(st.sampled_from(sorted(self.linked)))
        (self.folder / path).unlink(missing_ok=True)
        del self.linked[path]

    @rule(number=NUMBERS, at=st.integers(0, 100_000))
    def a_bit_flips_in_a_part(self, number, at):
        for path in (self.place / "tmp").glob(f"{DIGESTS[number]}.part*"):
            size = path.stat().st_size
            if size:
                with path.open("r+b") as file:
                    file.seek(at % size)
                    file.write(b"\x5a")
                self.tally(injected=1)

    # What holds

    @property
    def folder(self):
        return self.place / "snapshots" / "v" / "n" / COMMIT

    @invariant()
    def every_name_has_its_bytes(self):
        """I1, I4, I5: but for what hands have damaged."""
        for path in (self.place / "blobs").glob("*/*/*"):
            number = DIGESTS.index(path.name)
            if number not in self.hurt:
                assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name, "I1"

    @invariant()
    def what_is_right_stays(self):
        """I3: and nothing right is ever moved to quarantine."""
        for number in self.sure:
            assert self.store.path(DIGESTS[number]).is_file(), "I3"
        for path in (self.place / "quarantine").iterdir():
            found = hashlib.sha256(path.read_bytes()).hexdigest()
            assert found != path.name.partition(".")[0], "right bytes were set aside"

    @invariant()
    def a_snapshot_s_file_is_whole_or_absent(self):
        """I2, I6."""
        for path, number in self.linked.items():
            place = self.folder / path
            if number not in self.hurt and place.exists():
                assert place.read_bytes() == DATA[number], "I2"

    @invariant()
    def what_is_said_to_be_right_is(self):
        """I6: with proofs believed, nothing that is given out is wrong."""
        here = {n for n in range(len(DATA)) if n in self.sure}
        assert {DIGESTS[n] for n in here} <= self.store.present(DIGESTS)
        if here:
            assert len(self.store.verify([DIGESTS[n] for n in here])) == len(here)


def _run(examples, steps, phases=tuple(Phase)):
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=quiet,
        phases=phases,
        print_blob=True,
    )
    run_state_machine_as_test(Shelf, settings=chosen)


@pytest.mark.soak
def test_a_store_does_what_a_dictionary_does(rounds, tally):
    with mock.patch.object(Shelf, "tally", tally):
        _run(rounds(60, 2000), rounds(25, 60))


def test_the_model_finds_a_proof_that_always_holds():
    with (
        mock.patch.object(proof, "holds", lambda known, look, host: known is not None),
        pytest.raises(AssertionError),
    ):
        _run(2000, 25, [Phase.generate])  # ends at the first that finds it
