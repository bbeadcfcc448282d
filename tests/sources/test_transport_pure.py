"""Addresses and waits: no socket is opened here."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.errors import SourceError, SourceUnavailable
from modelhub.sources.names import nearest
from modelhub.sources.transport import Address, Origin, RetryPolicy, Transient, redact, retry_after


@pytest.mark.parametrize(
    ("url", "origin", "target"),
    [
        ("https://huggingface.co", Origin("https", "huggingface.co", 443), "/"),
        ("HTTP://Host:80/a%20b", Origin("http", "host", 80), "/a%20b"),
        ("http://[::1]:8080/x?y=1#z", Origin("http", "::1", 8080), "/x?y=1"),
        ("https://user:pw@host/ä b", Origin("https", "host", 443), "/%C3%A4%20b"),
        ("http://evil.com#@good.com/", Origin("http", "evil.com", 80), "/"),
        ("http://host?query", Origin("http", "host", 80), "/?query"),
    ],
)
def test_addresses(url, origin, target):
    address = Address.parse(url)
    assert (address.origin, address.target) == (origin, target)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host/path",
        "file:///etc/passwd",
        "gopher://host/",
        "http://",
        "http:///path",
        "http://good\\@127.0.0.1/",
        "http://host\n/",
        "http://ho\tst/",
        "http://host:99999/",
        "http://host:port/",
        "http://[::1/",
        "http://host name/",
        "http://hóst/",
        "http://host/" + "x" * 20_000,
    ],
)
def test_no_addresses(url):
    with pytest.raises(SourceError):
        Address.parse(url)


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/b", "http://host/b"),
        ("c?d", "http://host/a/c?d"),
        ("//other/x", "http://other/x"),
        ("https://other:8443/x", "https://other:8443/x"),
        ("?q", "http://host/a/b?q"),
        ("/\u00c3\u00a4", "http://host/%C3%A4"),  # UTF-8, read as Latin-1 by http.client
    ],
)
def test_joins(location, url):
    assert Address.parse("http://host/a/b").join(location).url == url


@settings(deadline=None)
@given(
    st.text(max_size=60)
    | st.from_regex(r"https?://[^ ]{0,30}[:/@?#\[\]\\]{0,5}[^ ]{0,30}", fullmatch=True)
)
def test_any_text_is_an_address_or_refused(text):
    try:
        address = Address.parse(text)
    except SourceError:
        return
    assert Address.parse(address.url) == address
    assert address.origin.scheme in ("http", "https")
    assert "@" not in address.origin.netloc
    assert not set("\r\n \\") & set(address.url)
    assert "?" not in str(address)


@settings(deadline=None)
@given(st.text(alphabet="abc:/@?#%", max_size=30))
def test_redacted_is_without_secrets(text):
    url = f"https://user:SECRET@host/{text}"
    assert "SECRET" not in redact(url)
    assert "SECRET" not in redact(f"https://host/path?{text}SECRET")
    assert redact(redact(url)) == redact(url)


def test_origins_print_with_their_port():
    assert str(Origin("https", "host", 443)) == "https://host"
    assert str(Origin("http", "::1", 443)) == "http://[::1]:443"


def test_retry_after():
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert 95 < (retry_after(later) or 0) <= 100
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert retry_after(" 12 ") == 12
    assert retry_after(None, '"api";r=0;t=55') == 55
    assert retry_after(None, '"api";r=3;t=55') is None
    assert [retry_after(text) for text in (None, "", "soon", "-1", "9" * 400, "1.5")] == [None] * 6


@settings(deadline=None)
@given(st.text(max_size=40), st.text(max_size=40))
def test_any_retry_after_is_understood_or_not(retry, limit):
    wait = retry_after(retry, limit)
    assert wait is None or wait >= 0


def test_policy_gives_the_last_error():
    waits, errors = [], [SourceUnavailable(str(n)) for n in range(3)]
    left = list(errors)

    def fail():
        raise Transient(left.pop(0))

    with pytest.raises(SourceUnavailable) as caught:
        RetryPolicy(attempts=3, sleep=waits.append).run(fail)
    assert caught.value is errors[2]
    assert len(waits) == 2


def test_policy_lets_other_errors_through():
    def fail():
        raise KeyError("x")

    with pytest.raises(KeyError):
        RetryPolicy(sleep=pytest.fail).run(fail)


def test_nearest():
    assert nearest("maine", ["dev", "main", "v1.0"], 2) == ("main", "dev")
    assert nearest("MAIN", ["dev", "main"])[0] == "main"
    assert nearest("x", []) == ()
