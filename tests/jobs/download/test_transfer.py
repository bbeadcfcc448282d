"""Downloads from servers that behave: what moves, what is told, what is stopped."""

import threading
import time

import pytest

from modelhub.errors import Cancelled, DeadlineExceeded
from modelhub.facts import Call
from tests.sources.origin import origin, ranged

from .conftest import BLOCK, LARGE, Context, content, repo_file, served


def test_large_and_small_files_come_whole_and_are_noted(downloads):
    contents = {"a.bin": content(), "b.bin": content(seed=2)}
    contents |= {f"{number}.json": b"{%d}" % number for number in range(150)}
    files = [repo_file(path, data, sha256=path.endswith("bin")) for path, data in contents.items()]
    with origin(served(contents)) as server:
        moved = downloads.run(server, files)
    assert moved == sum(map(len, contents.values()))
    assert downloads.holds(*contents.values())
    noted = {path: digest for batch in downloads.noted for path, digest in batch.items()}
    assert noted == {path: repo_file(path, data).sha256 for path, data in contents.items()}
    assert len(downloads.noted) <= 12, "small files are noted together"


def test_a_large_file_comes_in_ranges_each_once(downloads):
    data = content()
    with origin(served({"a.bin": data})) as server:
        downloads.run(server, [repo_file("a.bin", data)])
        spans = sorted(span(seen) for seen in server.seen)
    assert len(spans) > 3
    assert [start for start, _ in spans] == [0, *(end for _, end in spans[:-1])]
    assert spans[-1][1] == LARGE
    assert all(start % BLOCK == 0 for start, _ in spans)


def span(seen):
    first, _, last = seen.range.removeprefix("bytes=").partition("-")
    return int(first), int(last) + 1 if last else LARGE


def test_connections_are_kept(downloads):
    contents = {f"{number}.json": b"{%d}" % number for number in range(100)}
    files = [repo_file(path, data) for path, data in contents.items()]
    with origin(served(contents)) as server:
        downloads.run(server, files)
        assert len({seen.connection for seen in server.seen}) <= 8


def test_one_content_under_two_names_moves_once(downloads):
    data, tiny = content(), b"{}"
    contents = {"a.bin": data, "b.bin": data, "a.json": tiny, "b.json": tiny}
    files = [repo_file(path, each) for path, each in contents.items()]
    with origin(served(contents)) as server:
        assert downloads.run(server, files) == len(data) + len(tiny)
    assert {path for batch in downloads.noted for path in batch} == set(contents)
    assert downloads.context.seen[-1][0] <= sum(map(len, contents.values()))


def test_what_is_here_does_not_move(downloads):
    data = content()
    with origin(served({"a.bin": data})) as server:
        downloads.run(server, [repo_file("a.bin", data)])
        server.seen.clear()
        assert downloads.run(server, [repo_file("a.bin", data)]) == 0
        assert server.seen == []


def test_an_empty_file(downloads):
    with origin(served({"empty": b""})) as server:
        assert downloads.run(server, [repo_file("empty", b"")]) == 0
    assert downloads.holds(b"")


def test_a_large_file_without_a_known_hash_streams(downloads):
    data = content()
    with origin(served({"a.txt": data})) as server:
        downloads.run(server, [repo_file("a.txt", data, sha256=False)])
        assert [seen.range for seen in server.seen] == [None]
    assert downloads.holds(data)
    assert downloads.noted == [{"a.txt": repo_file("a.txt", data).sha256}]


def test_progress_goes_up_to_the_total(downloads):
    data = content()

    def slow(seen):
        time.sleep(0.15)
        return ranged(seen, data)

    with origin(slow) as server:
        downloads.run(server, [repo_file("a.bin", data)])
    done = [each for each, _, _ in downloads.context.seen]
    assert done == sorted(done)
    assert {total for _, total, _ in downloads.context.seen} == {LARGE}
    assert any(item == "a.bin" for _, _, item in downloads.context.seen)


@pytest.mark.parametrize("how", ["cancel", "deadline", "callback", "interrupt"])
def test_whatever_ends_it_ends_all_and_keeps_what_is_good(downloads, how):
    data, release = content(), threading.Event()

    def stuck(seen):
        if span(seen)[0] > LARGE // 2:
            release.wait(20)
        return ranged(seen, data)

    call = Call(timeout=1.0 if how == "deadline" else None)
    context = Context(call)

    def on_progress(report):
        if report[0] > LARGE // 3 and how != "deadline":
            if how == "cancel":
                call.cancel()
            else:
                raise KeyboardInterrupt if how == "interrupt" else RuntimeError("enough")

    context.on_progress = on_progress
    errors = {
        "cancel": Cancelled,
        "deadline": DeadlineExceeded,
        "callback": RuntimeError,
        "interrupt": KeyboardInterrupt,
    }
    downloads.transport._pool._read_timeout = 30
    with origin(stuck) as server:
        with pytest.raises(errors[how]):
            downloads.run(server, [repo_file("a.bin", data)], context)
        assert not release.is_set(), "nobody waited for the server"
        assert [thread.name for thread in threading.enumerate() if thread.name == "download-file"] == []
        release.set()
        server.seen.clear()
        again = Context()
        moved = downloads.run(server, [repo_file("a.bin", data)], again)
    assert downloads.holds(data)
    assert moved < LARGE
    assert max(done for done, _, _ in again.seen) <= LARGE
    assert sum(end - start for start, end in map(span, server.seen)) == moved


def test_two_threads_fetch_one_thing_once(downloads):
    data = content()

    def slow(seen):
        time.sleep(0.05)
        return ranged(seen, data)

    moved = []
    with origin(slow) as server:
        file = repo_file("a.bin", data)
        runs = [
            threading.Thread(target=lambda: moved.append(downloads.run(server, [file], Context())))
            for _ in range(3)
        ]
        for run in runs:
            run.start()
        for run in runs:
            run.join(30)
        assert sum(end - start for start, end in map(span, server.seen)) == LARGE
    assert sorted(moved) == [0, 0, LARGE]


def test_who_waits_goes_on_when_the_first_gives_up(downloads):
    data, first, begun = content(), Call(), threading.Event()

    def slow(seen):
        begun.set()
        time.sleep(0.05)
        return ranged(seen, data)

    file = repo_file("a.bin", data)
    with origin(slow) as server:

        def give_up():
            with pytest.raises(Cancelled):
                downloads.run(server, [file], Context(first))

        one = threading.Thread(target=give_up)
        one.start()
        begun.wait(20)
        second = Context()
        second.on_progress = lambda report: first.cancel()
        assert downloads.run(server, [file], second) <= LARGE
        one.join(20)
    assert downloads.holds(data)
    assert "waiting for another download" in {item for _, _, item in second.seen}
