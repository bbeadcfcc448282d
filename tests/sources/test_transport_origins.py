"""Where headers may go: redirects, encryption, proxies, and what is shown of it."""

import logging

import pytest

from modelhub.errors import (
    InvalidInput,
    ModelHubError,
    SourceError,
    SourceUnavailable,
)
from modelhub.sources.transport import Address, Request, RetryPolicy, Transport

from .asking import SECRET, drain, request
from .origin import BODY, Reply, in_order, origin, ranged


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


def test_header_that_cannot_be_is_refused_without_its_value():
    with pytest.raises(InvalidInput) as caught:
        Request(Address.parse("http://a/"), {"Authorization": f"Bearer {SECRET}\n"})
    assert SECRET not in str(caught.value)


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
