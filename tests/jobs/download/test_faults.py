"""Downloads from servers that stall, hang up and lie: right bytes or an error, and nothing in between."""

import random
import threading

import pytest

from modelhub.errors import (
    AccessDenied,
    FileNotInRepository,
    IntegrityError,
    ModelHubError,
    SourceError,
    SourceUnavailable,
    StoreFull,
)
from tests.sources.origin import Reply, origin, ranged

from .conftest import BLOCK, LARGE, content, repo_file

DATA = content()
OTHER = content(seed=2)
FILE = repo_file("a.bin", DATA)


def once(fault, good=lambda seen: ranged(seen, DATA)):
    """A server that is at fault for one request of the middle, and good otherwise."""
    lock, used = threading.Lock(), []

    def answer(seen):
        with lock:
            first = not used and not (seen.range or "").startswith("bytes=0-")
            if first:
                used.append(seen)
        return fault(seen) if first else good(seen)

    return answer


def cut(seen, at=100_000, **more):
    reply = ranged(seen, DATA)
    reply.cut = min(at, len(reply.body) - 1)
    for name, value in more.items():
        setattr(reply, name, value)
    return reply


def shifted(seen):
    reply = ranged(seen, DATA)
    first, last = reply.headers["Content-Range"].removeprefix("bytes ").split("/")[0].split("-")
    reply.headers["Content-Range"] = f"bytes {int(first) - 1}-{int(last) - 1}/{LARGE}"
    return reply


def over_long(seen):
    reply = ranged(seen, DATA)
    reply.body += b"more"
    return reply


def untold_length(seen):
    reply = ranged(seen, DATA)
    reply.body, reply.length, reply.drop_after = reply.body + b"more", False, True
    return reply


FAULTS = {
    "truncated": cut,
    "reset": lambda seen: cut(seen, reset=True),
    "stall": lambda seen: cut(seen, stall=True),
    "hang up": lambda seen: None,
    "wrong range": shifted,
    "over-long": over_long,
    "longer than told": untold_length,
    "503": lambda seen: Reply(503),
    "429": lambda seen: Reply(429, {"Retry-After": "7"}),
    "500 with a body": lambda seen: Reply(500, {}, b"oops" * 100),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault_costs_no_more_than_its_range(downloads, fault, waits, tally):
    with origin(once(FAULTS[fault])) as server:
        downloads.run(server, [FILE])
        asked = len(server.seen)
    assert downloads.holds(DATA)
    assert asked <= 13
    tally(rounds=1, injected=1, detected=1, repaired=1)
    if fault == "429":
        assert waits == [7]


def test_seeded_rounds_of_faults(downloads, rounds, tally):
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201
    draw, lock, counts = random.Random(seed), threading.Lock(), {"injected": 0}

    def answer(seen):
        with lock:
            fault = draw.choice([*30 * [None], *FAULTS.values()])
            counts["injected"] += fault is not None
        return ranged(seen, DATA) if fault is None else fault(seen)

    ended = {"right": 0, "refused": 0}
    with origin(answer) as server:
        for _ in range(rounds(20, 200)):
            try:
                downloads.run(server, [FILE])
                ended["right"] += 1
            except SourceError:
                ended["refused"] += 1
            assert downloads.holds(DATA) or downloads.holds()
            for blob in downloads.shared.store.root.glob("blobs/sha256/*/*"):
                blob.unlink()
    print(counts, ended)  # noqa: T201
    tally(rounds=sum(ended.values()), **counts, detected=counts["injected"], repaired=ended["right"])
    assert ended["right"] > ended["refused"]
    assert counts["injected"]


def test_a_server_without_ranges_gives_one_stream(downloads):
    with origin(lambda seen: Reply(200, {}, DATA)) as server:
        downloads.run(server, [FILE])
        assert len(server.seen) <= 5
    assert downloads.holds(DATA)


def test_an_interrupted_file_goes_on_at_a_server_without_ranges(downloads):
    class Enough(Exception):
        pass

    def fail(report):
        if report[0] > LARGE // 2:
            raise Enough

    downloads.context.on_progress = fail
    slow = threading.Event()

    def ranges(seen):
        slow.wait(0.1)
        return ranged(seen, DATA)

    with origin(ranges) as server, pytest.raises(Enough):
        downloads.run(server, [FILE])
    downloads.context.on_progress = lambda report: None
    with origin(lambda seen: Reply(200, {}, DATA)) as server:
        assert downloads.run(server, [FILE]) < LARGE
    assert downloads.holds(DATA)


def tagged(data, etag):
    def answer(seen):
        reply = ranged(seen, data)
        reply.headers["ETag"] = etag
        return reply

    return answer


def test_a_file_that_changes_midway_and_back_is_right_in_the_end(downloads):
    # A server that says so is not believed: the second version has the bytes that were promised.
    with origin(once(tagged(OTHER, '"b"'), tagged(DATA, '"a"'))) as server:
        downloads.run(server, [FILE])
    assert downloads.holds(DATA)


def test_a_file_that_becomes_another_for_good_is_refused(downloads):
    lock, asked = threading.Lock(), [0]

    def changing(seen):
        with lock:
            asked[0] += 1
            old = asked[0] <= 4
        return tagged(DATA, '"a"')(seen) if old else tagged(OTHER, '"b"')(seen)

    with origin(changing) as server, pytest.raises((IntegrityError, SourceError)):
        downloads.run(server, [FILE])
    assert downloads.holds()


def test_an_etag_that_never_stays_is_refused(downloads):
    lock, asked = threading.Lock(), [0]

    def restless(seen):
        with lock:
            asked[0] += 1
            etag = f'"{asked[0]}"'
        return tagged(DATA, etag)(seen)

    with origin(restless) as server, pytest.raises(SourceError, match="changed while it was read"):
        downloads.run(server, [FILE])


def test_other_bytes_are_fetched_once_more(downloads, tally):
    lock, spoilt = threading.Lock(), []

    def flips_once(seen):
        reply = ranged(seen, DATA)
        with lock:
            if not spoilt:
                spoilt.append(True)
                reply.body = bytes([reply.body[0] ^ 1]) + reply.body[1:]
        return reply

    with origin(flips_once) as server:
        downloads.run(server, [FILE])
    assert downloads.holds(DATA)
    assert max(done for done, _, _ in downloads.context.seen) <= LARGE
    assert list(downloads.shared.store.root.glob("quarantine/*")), "the evidence is kept"
    tally(rounds=1, injected=1, detected=1, repaired=1)


@pytest.mark.parametrize("size", [LARGE, 20_000])
@pytest.mark.parametrize("sha256", [True, False])
def test_wrong_bytes_are_never_published(downloads, size, sha256, tally):
    right, wrong = content(size), content(size, seed=2)
    file = repo_file("a.bin", right, sha256=sha256)
    with origin(lambda seen: ranged(seen, wrong)) as server, pytest.raises(IntegrityError) as caught:
        downloads.run(server, [file])
    assert caught.value.details["path"] == "a.bin"
    assert downloads.holds()
    assert downloads.noted == []
    tally(rounds=1, injected=1, detected=1)


@pytest.mark.parametrize("by", [-1, 1])
def test_a_file_of_another_size_is_refused_at_once(downloads, by):
    body = DATA[:by] if by < 0 else DATA + b"x"
    with origin(lambda seen: ranged(seen, body)) as server:
        with pytest.raises(IntegrityError):
            downloads.run(server, [FILE])
        assert len(server.seen) <= 8
    assert downloads.holds()


@pytest.mark.parametrize("size", [LARGE, 20_000])
@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(404), FileNotInRepository),
        (Reply(403), AccessDenied),
        (Reply(503), SourceUnavailable),
        (Reply(302, {"Location": "/round/and/round"}), SourceError),
    ],
)
def test_a_refusal_ends_it_and_is_named(downloads, size, reply, error):
    file = repo_file("a.bin", content(size))
    with origin(lambda seen: reply) as server, pytest.raises(error):
        downloads.run(server, [file])


def test_one_bad_file_does_not_cost_the_good_ones(downloads):
    good = {f"{number}.json": b"{%d}" % number for number in range(30)}
    bad = repo_file("bad.json", b"right")
    files = [*(repo_file(path, data) for path, data in good.items()), bad]

    def answer(seen):
        name = seen.target.rsplit("/", 1)[-1]
        return ranged(seen, good.get(name, b"wrong"))

    with origin(answer) as server:
        with pytest.raises(IntegrityError):
            downloads.run(server, files)
        before = len(server.seen)
        with pytest.raises(IntegrityError):
            downloads.run(server, files)
        assert len(server.seen) - before < before, "what was good is here"


def test_redirects_to_another_place_for_each_range(downloads):
    with origin(lambda seen: ranged(seen, DATA)) as cdn:
        redirect = Reply(302, {"Location": f"{cdn.url}/signed?key=1"})
        with origin(lambda seen: redirect) as server:
            downloads.run(server, [FILE])
            assert len(server.seen) == len(cdn.seen) > 3
    assert downloads.holds(DATA)


def test_what_does_not_fit_in_all_is_refused_before_the_first_byte(downloads, monkeypatch):
    store = downloads.shared.store
    files = [repo_file(f"{number}.bin", content(seed=number)) for number in (1, 2, 3)]
    monkeypatch.setattr(store._folders, "free", lambda: 2 * LARGE)
    with origin(lambda seen: ranged(seen, DATA)) as server:
        with pytest.raises(StoreFull) as caught:
            downloads.run(server, files)
        assert server.seen == []
    assert isinstance(caught.value, ModelHubError)
    assert caught.value.details["need"] == 3 * LARGE


def test_the_ranges_fit_the_blocks():
    assert LARGE % BLOCK
