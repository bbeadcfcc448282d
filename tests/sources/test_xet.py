"""Files in Xet: through a fake of hf_xet with the signatures of the real one; no Xet storage can be run here."""

import hashlib
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor

import pytest

from modelhub.errors import Cancelled
from modelhub.facts import RepoFile, RepoId, RepoListing
from modelhub.refs import Digest, RepoPath
from modelhub.sources.huggingface import HuggingFaceSource
from modelhub.sources.huggingface.xet import XetReader

from .asking import SECRET
from .origin import Reply, origin, ranged

DATA = bytes(i * 31 % 251 for i in range(3 << 20))
FILE = RepoFile(
    path=RepoPath("a.bin"),
    size=len(DATA),
    sha256=Digest(hashlib.sha256(DATA).hexdigest()),
    xet_hash="e" * 64,
)
LISTING = RepoListing(
    repo=RepoId(source="huggingface", vendor="acme", name="tiny"),
    commit="c" * 40,
    revision="main",
    files=(FILE,),
    source_uri="http://127.0.0.1/acme/tiny",
)
TOKEN = {
    "X-Xet-Cas-Url": "https://cas.example",
    "X-Xet-Access-Token": "short-lived",
    "X-Xet-Token-Expiration": "4000000000",
}


class XetFileInfo:
    def __init__(self, hash, file_size=None):  # noqa: A002 - the real one's name
        self.hash, self.file_size = hash, file_size


class XetDownloadStream:
    def __init__(self, chunks):
        self._chunks = iter(chunks)
        self.cancelled = False

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._chunks)

    def cancel(self):
        self.cancelled = True


class XetDownloadStreamGroup:
    """Gives chunks of 100,000 bytes; fails after `good` of them where that is a number."""

    def __init__(self, seen, data, good):
        self._seen, self._data, self._good = seen, data, good

    def download_stream(self, file_info, start=None, end=None):
        self._seen.append((file_info.hash, file_info.file_size, start, end))
        stream = XetDownloadStream(self._chunks(start, end))
        self._seen.append(stream)
        return stream

    def _chunks(self, start, end):
        for number, at in enumerate(range(start, end, 100_000)):
            if number == self._good:
                raise RuntimeError("storage is away")
            yield self._data[at : min(end, at + 100_000)]

    def abort(self):
        self._seen.append("abort")


class XetSession:
    data, good, seen = DATA, None, []

    def __init__(self, config=None):
        pass

    def new_download_stream_group(
        self,
        endpoint=None,
        token=None,
        token_expiry_unix_secs=None,
        token_refresh_url=None,
        token_refresh_headers=None,
        custom_headers=None,
    ):
        self.seen.append(
            (endpoint, token, token_expiry_unix_secs, token_refresh_url, token_refresh_headers)
        )
        return XetDownloadStreamGroup(self.seen, self.data, self.good)


@pytest.fixture
def fake(monkeypatch):
    """What is asked of hf_xet; `data` and `good` say what it gives."""
    seen = []
    session = type("XetSession", (XetSession,), {"seen": seen})
    module = types.SimpleNamespace(XetSession=session, XetFileInfo=XetFileInfo)
    monkeypatch.setitem(sys.modules, "hf_xet", module)
    monkeypatch.setattr("modelhub.sources.huggingface.xet.is_usable", lambda: True)
    return session


def answer(seen):
    if "xet-read-token" in seen.target:
        return Reply(200, TOKEN, b"{}")
    return ranged(seen, DATA)


@pytest.fixture
def make(transport):
    def of(server, **given):
        return HuggingFaceSource(server.url, SECRET, transport=transport, **{"use_xet": True, **given})

    return of


def read(reader, start=0, end=None):
    buffer, data = memoryview(bytearray(70_000)), bytearray()
    with reader.open(start, end) as stream:
        while count := stream.readinto(buffer):
            data += buffer[:count]
    return bytes(data)


def test_the_fake_has_the_signatures_of_the_real_one():
    real = pytest.importorskip("hf_xet")
    for ours, theirs in [
        (XetSession.new_download_stream_group, real.XetSession.new_download_stream_group),
        (XetDownloadStreamGroup.download_stream, real.XetDownloadStreamGroup.download_stream),
        (XetDownloadStreamGroup.abort, real.XetDownloadStreamGroup.abort),
        (XetDownloadStream.cancel, real.XetDownloadStream.cancel),
    ]:
        names = [
            part.partition("=")[0].strip("$ ") for part in theirs.__text_signature__[1:-1].split(",")
        ]
        assert names == list(ours.__code__.co_varnames[: ours.__code__.co_argcount])
    assert real.XetFileInfo("e" * 64, 5).file_size == 5
    assert real.XetSession() is not None


def test_ranges_come_over_xet_and_the_token_of_the_hub_stays_there(fake, make):
    with origin(answer) as server:
        reader = make(server).reader(LISTING, FILE)
        assert read(reader) == DATA
        assert read(reader, 5, 250_005) == DATA[5:250_005]
        (asked,) = server.seen
        assert asked.target == f"/api/models/acme/tiny/xet-read-token/{'c' * 40}"
        url = f"{server.url}{asked.target}"
    group, *_ = fake.seen
    assert group == (
        "https://cas.example",
        "short-lived",
        4_000_000_000,
        url,
        {"Authorization": f"Bearer {SECRET}"},
    )
    assert fake.seen[1] == (FILE.xet_hash, FILE.size, 0, FILE.size)
    assert all(each.cancelled for each in fake.seen if isinstance(each, XetDownloadStream))


@pytest.mark.parametrize("good", [0, 7])
def test_what_fails_goes_on_by_plain_ranges(fake, make, good):
    fake.good = good
    with origin(answer) as server:
        reader = make(server).reader(LISTING, FILE)
        assert read(reader) == DATA
        assert read(reader, 10, 20) == DATA[10:20]
        plain = [seen.range for seen in server.seen if "token" not in seen.target]
    assert plain == [f"bytes={good * 100_000}-" if good else None, "bytes=10-19"]


def test_a_storage_that_ends_early_is_no_end(fake, make):
    fake.data = DATA[:1_000_000]
    with origin(answer) as server:
        assert read(make(server).reader(LISTING, FILE)) == DATA


def test_a_hub_without_the_token_route_is_asked_once(fake, make):
    def without(seen):
        return Reply(404) if "xet-read-token" in seen.target else ranged(seen, DATA)

    with origin(without) as server:
        source = make(server)
        for _ in range(2):
            assert read(source.reader(LISTING, FILE)) == DATA
        assert len([seen for seen in server.seen if "token" in seen.target]) == 1
    assert fake.seen == []


@pytest.mark.parametrize("missing", TOKEN)
def test_a_token_route_that_says_too_little(fake, make, missing):
    def short(seen):
        reply = answer(seen)
        if "xet-read-token" in seen.target:
            reply.headers = {name: value for name, value in TOKEN.items() if name != missing}
        return reply

    with origin(short) as server:
        assert read(make(server).reader(LISTING, FILE)) == DATA
    assert fake.seen == []


def test_stopping_aborts_what_is_under_way(fake, make):
    with origin(answer) as server:
        reader = make(server).reader(LISTING, FILE)
        buffer = memoryview(bytearray(1000))
        with reader.open(0, None) as stream:
            assert stream.readinto(buffer) == 1000
            reader.stop()
        with pytest.raises(Cancelled), reader.open(0, None):
            raise AssertionError("it was stopped")
    assert "abort" in fake.seen


def test_stopping_does_not_wait_for_the_hub_that_is_asked_for_the_token(fake, make):
    asked, go_on = threading.Event(), threading.Event()

    def slow(seen):
        asked.set()
        assert go_on.wait(60)
        return answer(seen)

    with origin(slow) as server, ThreadPoolExecutor() as pool:
        reader = make(server).reader(LISTING, FILE)
        reading = pool.submit(read, reader)
        assert asked.wait(60)
        pool.submit(reader.stop).result(30)
        go_on.set()
        with pytest.raises(Cancelled):
            reading.result(60)
    assert fake.seen == []


def test_only_large_files_that_are_in_xet_and_only_where_it_is_allowed(fake, make):
    with origin(answer) as server:
        small = FILE.model_copy(update={"size": 1000})
        elsewhere = FILE.model_copy(update={"xet_hash": None})
        source = make(server)
        assert isinstance(source.reader(LISTING, FILE), XetReader)
        assert not isinstance(source.reader(LISTING, small), XetReader)
        assert not isinstance(source.reader(LISTING, elsewhere), XetReader)
        assert not isinstance(make(server, use_xet=False).reader(LISTING, FILE), XetReader)
