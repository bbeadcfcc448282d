"""The data plane against servers that behave, and what it refuses."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from modelhub.errors import (
    AccessDenied,
    FileNotInRepository,
    SourceError,
)

from .asking import SECRET, drain, request
from .origin import BODY, Reply, origin, ranged


def test_whole_file(transport):
    with origin(ranged) as server:
        stream = transport.stream(request(f"{server.url}/file"))
        assert stream.total == len(BODY)
        assert drain(stream) == BODY
    (seen,) = server.seen
    assert seen.headers["accept-encoding"] == "identity"
    assert seen.headers["user-agent"].startswith("modelhub/")
    assert seen.headers["host"] == f"127.0.0.1:{server.server_port}"
    assert seen.range is None


@pytest.mark.parametrize(("start", "end"), [(0, 10), (5, 6), (299_990, None), (17, 70_000)])
def test_ranges(transport, start, end):
    with origin(ranged) as server:
        stream = transport.stream(request(server.url), start, end)
        assert stream.total == len(BODY)
        assert drain(stream) == BODY[start:end]
    assert server.seen[0].range == f"bytes={start}-{'' if end is None else end - 1}"


def test_server_without_ranges(transport):
    with origin(lambda seen: Reply(200, {}, BODY)) as server:
        assert drain(transport.stream(request(server.url), 100_000, 100_010)) == BODY[100_000:100_010]
        assert drain(transport.stream(request(server.url), 299_999)) == BODY[299_999:]


def test_chunked_body(transport):
    chunks = (
        b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (BODY[:1000], BODY[1000:]))
        + b"0\r\n\r\n"
    )
    reply = Reply(200, {"Transfer-Encoding": "chunked"}, chunks, length=False)
    with origin(lambda seen: reply) as server:
        stream = transport.stream(request(server.url))
        assert stream.total is None
        assert drain(stream) == BODY


def test_connections_are_reused(transport):
    with origin(ranged) as server:
        for _ in range(3):
            assert drain(transport.stream(request(server.url), 0, 1000)) == BODY[:1000]
    assert [seen.connection for seen in server.seen] == [0, 0, 0]


def test_connection_left_early_is_not_reused(transport):
    with origin(ranged) as server:
        with transport.stream(request(server.url)) as stream:
            stream.readinto(memoryview(bytearray(10)))
        assert drain(transport.stream(request(server.url), 0, 10)) == BODY[:10]
    assert [seen.connection for seen in server.seen] == [0, 1]


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Range": "bytes 5-14/300000"},
        {"Content-Range": "bytes 10-20/300000"},
        {"Content-Range": "bytes 10-9/300000"},
        {"Content-Range": "pages 10-19/300000"},
        {"Content-Range": "bytes 10-19/" + "9" * 400},
        {},
    ],
)
def test_wrong_range_is_refused(transport, headers):
    with (
        origin(lambda seen: Reply(206, headers, bytes(10))) as server,
        pytest.raises(SourceError),
    ):
        transport.stream(request(server.url), 10, 20)
    assert len(server.seen) == 1


def test_compressed_body_is_refused(transport):
    with (
        origin(lambda seen: Reply(200, {"Content-Encoding": "gzip"}, b"x")) as server,
        pytest.raises(SourceError, match="compressed"),
    ):
        transport.stream(request(server.url))


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, AccessDenied), (403, AccessDenied), (404, FileNotInRepository), (418, SourceError)],
)
def test_refusals_are_not_repeated(transport, status, kind):
    body = b'{"error": "because of %s"}' % SECRET.encode()
    with (
        origin(lambda seen: Reply(status, {"Content-Type": "application/json"}, body)) as server,
        pytest.raises(kind, match=r"because of \*\*\*") as caught,
    ):
        transport.stream(request(server.url))
    assert len(server.seen) == 1
    assert caught.value.details["status"] == status


@pytest.mark.parametrize("body", [b"[" * 50_000, b'["x"]', b"\xff", b"null", b'{"error": [1]}'])
def test_unreadable_refusal(transport, body):
    with (
        origin(lambda seen: Reply(404, {"Content-Type": "application/json"}, body)) as server,
        pytest.raises(FileNotInRepository),
    ):
        transport.stream(request(server.url))


def test_page_and_its_next(transport):
    link = '<https://elsewhere/a?x=1>; rel="prev", </b?cursor=2>; rel="next"'
    with origin(lambda seen: Reply(200, {"Link": link}, b"[]")) as server:
        page = transport.page(request(server.url), 100)
    assert page.body == b"[]"
    assert page.next is not None
    assert page.next.url == f"{server.url}/b?cursor=2"


def test_page_that_is_too_long(transport):
    with (
        origin(lambda seen: Reply(200, {}, bytes(101))) as server,
        pytest.raises(SourceError, match="longer than the 100 bytes"),
    ):
        transport.page(request(server.url), 100)


def test_many_threads(transport):
    with origin(ranged) as server:
        spans = [(start, start + 5000) for start in range(0, 200_000, 5000)]
        with ThreadPoolExecutor(8) as threads:
            found = list(
                threads.map(lambda span: drain(transport.stream(request(server.url), *span)), spans)
            )
    assert found == [BODY[start:end] for start, end in spans]
    assert len({seen.connection for seen in server.seen}) <= 8
