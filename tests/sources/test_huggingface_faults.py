"""Where the token goes, and what the Hugging Face source does when the hub fails."""

import logging
import traceback

import pytest

from modelhub.errors import (
    AccessDenied,
    InvalidInput,
    Offline,
    SourceUnavailable,
)
from modelhub.sources.huggingface import HuggingFaceSource
from modelhub.sources.testing import drain
from modelhub.sources.transport import RetryPolicy, Transport
from tests.zoo.hub_server import Fault

from .asking import errors_of
from .tiny_repo import FILES, REPO, TOKEN, WEIGHTS, ref


def authorized(hub):
    """Whether the requests of each origin carried a token."""
    found = {}
    for request in hub.requests:
        found.setdefault(request.origin, set()).add(request.authorized)
    return found


def test_token_goes_to_the_hub_alone(make_source, hub):
    source = make_source(TOKEN)
    listing = source.describe(ref())
    file = listing.by_path["tiny.q8_0.gguf"]
    assert source.read(listing, file, 5, 10) == WEIGHTS[5:10]
    assert drain(source, listing, file) == WEIGHTS
    assert authorized(hub) == {"hub": {True}, "cdn": {False}}


def test_empty_token_is_no_token(make_source, hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    make_source("").describe(ref())
    assert authorized(hub) == {"hub": {False}}


def test_token_of_the_environment(make_source, hub, monkeypatch):
    source = make_source(None)
    source.describe(ref())
    assert authorized(hub) == {"hub": {False}}
    hub.reset_counts()
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    source.describe(ref())
    assert authorized(hub) == {"hub": {True}}
    hub.reset_counts()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    source.describe(ref())
    assert authorized(hub) == {"hub": {False}}


def test_endpoint_of_the_environment(hub, monkeypatch, transport):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.endpoint)
    assert HuggingFaceSource(token="", transport=transport).describe(ref()).commit == hub.commit(REPO)


@pytest.mark.parametrize("wrong", ["{}\nX: y", "{}\u00e4", "Bearer {}", "{}\0"])
def test_token_that_no_header_can_hold(make_source, wrong):
    error = errors_of(lambda: make_source(wrong.format(TOKEN)).describe(ref()))
    assert isinstance(error.value, InvalidInput)
    assert TOKEN not in "".join(traceback.format_exception(error.value))


def test_token_is_never_logged_or_raised(make_source, hub, repo_folder, caplog):
    caplog.set_level(logging.DEBUG)
    hub.add("zoo/gated", repo_folder, gated=True)
    source = make_source(TOKEN)
    listing = source.describe(ref("zoo/gated"))
    hub.faults["*/README.md"] = Fault(status=503)
    texts = [repr(source)]
    for call in (
        lambda: source.describe(ref("zoo/none")),
        lambda: source.describe(ref(f"{REPO}@none")),
        lambda: source.read(listing, listing.by_path["config.json"], 0, 1),
        lambda: source.read(source.describe(ref()), listing.by_path["README.md"], 0, 1),
    ):
        error = errors_of(call).value
        texts += ["".join(traceback.format_exception(error)), repr(error.to_dict())]
    texts += [caplog.text, *(str(vars(record)) for record in caplog.records)]
    assert "answered 503" in caplog.text
    shown = [text for text in texts if TOKEN in text or "X-Amz-Signature=" in text]
    assert shown == []


# Faults


def test_busy_hub_is_asked_again(source, hub, waits):
    for path in ("/api/models/Zoo/Tiny-GGUF", "*/tree/*", "config.json"):
        hub.faults[path] = Fault(status=503, times=2)
    listing = source.describe(ref())
    assert source.read(listing, listing.by_path["config.json"], 0, 99) == FILES["config.json"]
    assert len(waits) == 6


@pytest.mark.parametrize("path", ["/api/models/Zoo/Tiny-GGUF", "*/tree/*"])
def test_rate_limit_is_honoured(source, hub, waits, path):
    hub.faults[path] = Fault(status=429, retry_after=9, times=1)
    source.describe(ref())
    assert waits == [9]


@pytest.mark.parametrize("path", ["/api/models/Zoo/Tiny-GGUF", "*/tree/*"])
def test_hub_that_stays_busy(source, hub, path):
    hub.faults[path] = Fault(status=500)
    with pytest.raises(SourceUnavailable, match="answered 500"):
        source.describe(ref())


@pytest.mark.parametrize("path", ["/api/models/Zoo/Tiny-GGUF", "*/tree/*"])
def test_hub_that_stalls(hub, path, waits):
    transport = Transport(
        read_timeout=0.1, retry=RetryPolicy(attempts=2, sleep=waits.append), proxies={}
    )
    hub.faults[path] = Fault(delay=20)
    with pytest.raises(SourceUnavailable, match="cannot be reached"):
        HuggingFaceSource(hub.endpoint, "", transport=transport).describe(ref())
    assert len(waits) == 1
    transport.close()


@pytest.mark.parametrize(
    "fault", [Fault(truncate=100_000, times=2), Fault(stall=20, stall_after=100_000, times=2)]
)
def test_broken_download_goes_on(source, hub, fault):
    listing = source.describe(ref())
    hub.faults["tiny.q8_0.gguf"] = fault
    hub.reset_counts()
    assert drain(source, listing, listing.by_path["tiny.q8_0.gguf"], buffer_size=8000) == WEIGHTS
    ranges = [request.range for request in hub.requests if request.origin == "cdn"]
    assert len(ranges) == 3
    assert ranges[0] is None
    assert all(ranges[1:])


def test_server_without_ranges(source, hub):
    hub.faults["tiny.q8_0.gguf"] = Fault(ignore_range=True)
    listing = source.describe(ref())
    assert source.read(listing, listing.by_path["tiny.q8_0.gguf"], 5, 50) == WEIGHTS[5:50]


def test_truncated_for_ever(source, hub):
    listing = source.describe(ref())
    hub.faults["tiny.q8_0.gguf"] = Fault(truncate=0)
    with pytest.raises(SourceUnavailable, match="broke off"):
        drain(source, listing, listing.by_path["tiny.q8_0.gguf"])


def test_signed_address_that_the_cdn_refuses(source, hub):
    listing = source.describe(ref())
    hub.faults["/Zoo/Tiny-GGUF/blob/*"] = Fault(status=403)
    error = errors_of(lambda: drain(source, listing, listing.by_path["tiny.q8_0.gguf"])).value
    assert isinstance(error, AccessDenied)
    assert hub.cdn_endpoint in error.message
    assert "Signature" not in str(error)


def test_nobody_there(make_source, hub, waits):
    endpoint = hub.endpoint
    hub.close()
    error = errors_of(lambda: make_source(endpoint=endpoint).describe(ref())).value
    assert isinstance(error, SourceUnavailable)
    assert endpoint in error.message
    assert "offline" in error.hint
    assert len(waits) == 3


def test_offline_by_environment(source, hub, monkeypatch):
    listing = source.describe(ref())
    hub.reset_counts()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for call in (
        lambda: source.describe(ref()),
        lambda: source.read(listing, listing.files[0], 0, 1),
        lambda: drain(source, listing, listing.files[0]),
    ):
        with pytest.raises(Offline, match="HF_HUB_OFFLINE"):
            call()
    assert hub.requests == []
