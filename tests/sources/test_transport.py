"""The data plane against servers that behave, and servers that do not."""

import logging
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from modelhub.errors import (
    AccessDenied,
    FileNotInRepository,
    InvalidInput,
    ModelHubError,
    SourceError,
    SourceUnavailable,
)
from modelhub.sources.transport import Address, Request, RetryPolicy, Transport

from .origin import BODY, Reply, in_order, origin, ranged

SECRET = "hf_canary0123456789canary0123456789ca"
PRIVATE = {"Authorization": f"Bearer {SECRET}", "X-Custom": SECRET}


def request(url, headers=PRIVATE, **more):
    return Request(Address.parse(url), headers, secrets=(SECRET,), **more)


def drain(stream, size=10_000):
    buffer, data = memoryview(bytearray(size)), bytearray()
    with stream:
        while count := stream.readinto(buffer):
            data += buffer[:count]
    return bytes(data)


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


def test_connection_closed_while_idle_costs_no_attempt(transport, waits):
    replies = in_order(Reply(200, {}, b"one", drop_after=True), Reply(200, {}, b"two"))
    with origin(replies) as server:
        assert drain(transport.stream(request(server.url))) == b"one"
        assert drain(transport.stream(request(server.url))) == b"two"
    assert waits == []


def test_connection_closed_as_it_is_used_again_costs_no_attempt(transport, waits):
    with origin(in_order(Reply(200, {}, b"one"), None, Reply(200, {}, b"two"))) as server:
        assert drain(transport.stream(request(server.url))) == b"one"
        assert drain(transport.stream(request(server.url))) == b"two"
    assert [seen.connection for seen in server.seen] == [0, 0, 1]
    assert waits == []


def test_server_that_hangs_up_is_asked_again(transport, waits):
    with origin(in_order(None, None, ranged)) as server:
        assert drain(transport.stream(request(server.url))) == BODY
    assert len(waits) == 2


def test_redirect_and_refusal_whose_bodies_break_off(transport):
    redirect = Reply(302, {"Location": "/there"}, b"moved", cut=1)
    with (
        origin(in_order(redirect, Reply(404, {"X-Error-Message": "gone"}, b"gone", cut=1))) as server,
        pytest.raises(FileNotInRepository, match="gone"),
    ):
        transport.stream(request(server.url))
    assert [seen.target for seen in server.seen] == ["/", "/there"]


def test_redirect_on_one_origin_keeps_the_headers(transport):
    redirect = Reply(307, {"Location": "/there"})
    with origin(in_order(redirect, ranged)) as server:
        assert drain(transport.stream(request(f"{server.url}/here"))) == BODY
    assert [seen.target for seen in server.seen] == ["/here", "/there"]
    assert [seen.headers.get("x-custom") for seen in server.seen] == [SECRET, SECRET]
    assert [seen.connection for seen in server.seen] == [0, 0]


def test_redirect_to_another_origin_drops_every_private_header(transport):
    with origin(ranged) as cdn:
        redirect = Reply(302, {"Location": f"{cdn.url}/file?X-Amz-Signature=abc"})
        with origin(lambda seen: redirect) as hub:
            assert drain(transport.stream(request(hub.url), 10)) == BODY[10:]
    assert "authorization" in hub.seen[0].headers
    assert cdn.seen[0].target == "/file?X-Amz-Signature=abc"
    assert cdn.seen[0].range == "bytes=10-"
    assert SECRET not in str(cdn.seen)
    assert not {"authorization", "x-custom"} & cdn.seen[0].headers.keys()


def test_headers_do_not_come_back_after_a_detour(transport):
    def hub_answer(seen):
        return ranged(seen) if seen.target == "/end" else Reply(302, {"Location": f"{other.url}/"})

    with (
        origin(hub_answer) as hub,
        origin(lambda seen: Reply(302, {"Location": f"{hub.url}/end"})) as other,
    ):
        assert drain(transport.stream(request(hub.url))) == BODY
    assert ["authorization" in seen.headers for seen in hub.seen] == [True, False]
    assert SECRET not in str(other.seen)


def test_user_and_password_of_a_location_are_not_sent(transport):
    with origin(ranged) as cdn:
        location = cdn.url.replace("//", "//user:pass@")
        with origin(lambda seen: Reply(302, {"Location": location})) as hub:
            assert drain(transport.stream(request(hub.url))) == BODY
    assert "authorization" not in cdn.seen[0].headers


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "ftp://127.0.0.1/", "http://good\\@127.0.0.1/", "http://a b/"],
)
def test_redirect_to_what_is_no_http_address(transport, location):
    with (
        origin(lambda seen: Reply(302, {"Location": location})) as server,
        pytest.raises(SourceError) as caught,
    ):
        transport.stream(request(server.url))
    assert not isinstance(caught.value, SourceUnavailable)
    assert len(server.seen) == 1


def test_redirect_without_end(transport):
    with (
        origin(lambda seen: Reply(302, {"Location": seen.target + "x"})) as server,
        pytest.raises(SourceError, match="more than 5 times"),
    ):
        transport.stream(request(server.url))
    assert len(server.seen) == 6


def test_redirect_to_nowhere(transport):
    with (
        origin(lambda seen: Reply(302)) as server,
        pytest.raises(SourceError, match="to nowhere"),
    ):
        transport.stream(request(server.url))


def test_busy_server_is_asked_again(transport, waits):
    with origin(in_order(Reply(503), Reply(500), ranged)) as server:
        assert drain(transport.stream(request(server.url))) == BODY
    assert len(server.seen) == 3
    assert 0.5 <= waits[0] <= 1.0
    assert 1.0 <= waits[1] <= 1.5


def test_server_that_stays_busy_is_given_up(transport, waits):
    with (
        origin(lambda seen: Reply(503, {}, b"no")) as server,
        pytest.raises(SourceUnavailable, match="answered 503") as caught,
    ):
        transport.stream(request(server.url))
    assert len(server.seen) == 4
    assert len(waits) == 3
    assert caught.value.details["status"] == 503


@pytest.mark.parametrize("headers", [{"Retry-After": "7"}, {"RateLimit": '"api";r=0;t=7'}])
def test_retry_after_is_honoured(transport, waits, headers):
    with origin(in_order(Reply(429, headers), ranged)) as server:
        assert drain(transport.stream(request(server.url))) == BODY
    assert waits == [7]


def test_too_long_a_wait_is_told_instead(transport, waits):
    with (
        origin(lambda seen: Reply(429, {"Retry-After": "3600"})) as server,
        pytest.raises(SourceUnavailable) as caught,
    ):
        transport.stream(request(server.url))
    assert "3600 s" in caught.value.hint
    assert waits == []
    assert len(server.seen) == 1


@pytest.mark.parametrize("fault", ["cut", "reset", "stall"])
def test_broken_download_goes_on_from_its_byte(transport, waits, fault):
    def broken(seen):
        reply = ranged(seen)
        reply.cut = 120_000
        reply.reset, reply.stall = fault == "reset", fault == "stall"
        return reply

    with origin(in_order(broken, broken, ranged)) as server:
        assert drain(transport.stream(request(server.url), 1000), size=7000) == BODY[1000:]
    starts = [int(seen.range.removeprefix("bytes=").removesuffix("-")) for seen in server.seen]
    assert starts[0] == 1000
    assert starts == sorted(set(starts))
    assert len(starts) == 3
    assert waits == []


def test_resume_goes_through_the_hub_again(transport):
    def cut(seen):
        reply = ranged(seen)
        reply.cut = 100_000
        return reply

    with origin(in_order(cut, ranged)) as cdn:
        redirect = Reply(302, {"Location": f"{cdn.url}/"})
        with origin(lambda seen: redirect) as hub:
            assert drain(transport.stream(request(hub.url))) == BODY
    assert [seen.range for seen in hub.seen] == [None, "bytes=100000-"]
    assert [seen.range for seen in cdn.seen] == [None, "bytes=100000-"]


def test_resume_waits_while_the_server_is_away(transport, waits):
    def cut(seen):
        reply = ranged(seen)
        reply.cut = 1000
        return reply

    with origin(in_order(cut, Reply(503), Reply(503), ranged)) as server:
        assert drain(transport.stream(request(server.url))) == BODY
    assert len(waits) == 2


def test_resume_on_a_server_without_ranges(transport):
    def cut(seen):
        return Reply(200, {}, BODY, cut=None if seen.range else 1000)

    with origin(cut) as server:
        assert drain(transport.stream(request(server.url))) == BODY


def test_download_that_never_gets_further_is_given_up(transport):
    def cut(seen):
        reply = ranged(seen)
        reply.cut = 0
        return reply

    with origin(cut) as server:
        stream = transport.stream(request(server.url))
        with pytest.raises(SourceUnavailable, match="broke off"):
            drain(stream)
    assert len(server.seen) == 5


def test_download_in_drops_is_given_up(transport):
    def drip(seen):
        reply = ranged(seen)
        reply.cut = 1
        return reply

    with origin(drip) as server:
        stream = transport.stream(request(server.url))
        with pytest.raises(SourceUnavailable, match="broke off"):
            drain(stream)
    assert len(server.seen) < 20


def test_refusal_while_resuming_is_named(transport):
    def cut(seen):
        reply = ranged(seen)
        reply.cut = 10
        return reply

    with origin(in_order(cut, Reply(403))) as server:
        stream = transport.stream(request(server.url))
        with pytest.raises(AccessDenied):
            drain(stream)


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


def test_file_that_changes_while_it_is_read(transport):
    def cut(seen):
        reply = ranged(seen)
        reply.cut = 1000
        return reply

    with (
        origin(in_order(cut, lambda seen: ranged(seen, BODY + b"x"))) as server,
        pytest.raises(SourceError, match="changed while it was read"),
    ):
        drain(transport.stream(request(server.url)))


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


def test_nobody_there(transport, waits):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/x?signature={SECRET}"
        with pytest.raises(SourceUnavailable, match="cannot be reached") as caught:
            transport.stream(request(url))
    assert "offline" in caught.value.hint
    assert len(waits) == 3


def test_impossible_host_name(transport, waits):
    with pytest.raises(SourceUnavailable):
        transport.stream(request("http://a..b/"))
    assert waits == []


def test_header_that_cannot_be_is_refused_without_its_value():
    with pytest.raises(InvalidInput) as caught:
        Request(Address.parse("http://a/"), {"Authorization": f"Bearer {SECRET}\n"})
    assert SECRET not in str(caught.value)


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


def test_page_that_breaks_off_is_asked_for_again(transport):
    with origin(in_order(Reply(200, {}, b"[1, 2]", cut=3), Reply(200, {}, b"[1, 2]"))) as server:
        assert transport.page(request(server.url), 100).body == b"[1, 2]"


def test_many_threads(transport):
    with origin(ranged) as server:
        spans = [(start, start + 5000) for start in range(0, 200_000, 5000)]
        with ThreadPoolExecutor(8) as threads:
            found = list(
                threads.map(lambda span: drain(transport.stream(request(server.url), *span)), spans)
            )
    assert found == [BODY[start:end] for start, end in spans]
    assert len({seen.connection for seen in server.seen}) <= 8


def test_nothing_secret_is_logged_or_raised(transport, caplog):
    caplog.set_level(logging.DEBUG)
    signed = f"?X-Amz-Signature={SECRET}"

    def cdn_answer(seen):
        return Reply(403, {"X-Error-Message": f"bad {SECRET}"}, b"")

    with origin(cdn_answer) as cdn:
        redirect = Reply(302, {"Location": f"{cdn.url}/file{signed}"})
        with (
            origin(in_order(Reply(503, {"X-Error-Message": SECRET}), redirect)) as hub,
            pytest.raises(ModelHubError) as caught,
        ):
            transport.stream(request(f"{hub.url}/x{signed}"))
    assert cdn.url in str(caught.value)
    records = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    for text in (
        str(caught.value),
        repr(caught.value.to_dict()),
        records,
        repr(request(hub.url + signed)),
    ):
        assert SECRET not in text
        assert "Signature" not in text
    assert "attempt 2 follows" in caplog.text


# TLS


def test_https(certificate):
    server_context, client_context = certificate
    with origin(ranged, server_context) as server:
        transport = Transport(context=client_context, proxies={})
        assert drain(transport.stream(request(server.url), 0, 5000)) == BODY[:5000]
        assert drain(transport.stream(request(server.url), 5000)) == BODY[5000:]
        transport.close()


def test_certificate_that_is_not_trusted(certificate, transport, waits):
    with (
        origin(ranged, certificate[0]) as server,
        pytest.raises(SourceUnavailable, match="certificate"),
    ):
        transport.stream(request(server.url))
    assert server.seen == []
    assert waits == []


def test_https_is_never_left_for_http(certificate):
    server_context, client_context = certificate
    transport = Transport(context=client_context, proxies={})
    with origin(ranged) as plain:
        redirect = Reply(302, {"Location": f"{plain.url}/"})
        with (
            origin(lambda seen: redirect, server_context) as server,
            pytest.raises(SourceError, match="from https to http"),
        ):
            transport.stream(request(server.url))
    assert plain.seen == []
    transport.close()


# Proxies


def test_http_goes_through_the_proxy(waits):
    with origin(ranged) as proxy:
        url = proxy.url.replace("//", "//us%40er:pass@")
        transport = Transport(proxies={"http": url})
        assert drain(transport.stream(request("http://hub.invalid/file?q=1"))) == BODY
        transport.close()
    (seen,) = proxy.seen
    assert seen.target == "http://hub.invalid/file?q=1"
    assert seen.headers["host"] == "hub.invalid"
    assert seen.headers["proxy-authorization"] == "Basic dXNAZXI6cGFzcw=="


def test_https_goes_through_a_tunnel(certificate):
    server_context, client_context = certificate
    with origin(ranged) as proxy, origin(ranged, server_context) as server:
        url = proxy.url.replace("//", "//user:pass@")
        transport = Transport(context=client_context, proxies={"https": url})
        assert drain(transport.stream(request(server.url), 0, 1000)) == BODY[:1000]
        transport.close()
    assert [seen.method for seen in proxy.seen] == ["CONNECT"]
    assert "proxy-authorization" in proxy.seen[0].headers
    assert "authorization" not in proxy.seen[0].headers
    assert "proxy-authorization" not in server.seen[0].headers


def test_proxy_of_the_environment_and_its_exceptions(monkeypatch):
    transport = Transport(retry=RetryPolicy(attempts=1))
    with origin(lambda seen: Reply(200, {}, b"proxy")) as proxy, origin(ranged) as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert drain(transport.stream(request("http://hub.invalid/"))) == b"proxy"
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        assert drain(transport.stream(request(server.url))) == BODY
    transport.close()


@pytest.mark.parametrize("url", ["socks5://127.0.0.1:1", "http://user:pw@:x", "127.0.0.1:99999999"])
def test_proxy_that_is_none(url, waits):
    transport = Transport(proxies={"http": url}, retry=RetryPolicy(sleep=waits.append))
    with pytest.raises(SourceUnavailable, match="not an HTTP proxy") as caught:
        transport.stream(request("http://hub.invalid/"))
    assert "pw" not in str(caught.value)
    assert waits == []
