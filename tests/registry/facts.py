"""Strategies for facts as strangers' repositories could make them."""

from datetime import UTC, datetime

from hypothesis import strategies as st

from modelhub.facts import (
    Component,
    Evidence,
    FileKind,
    Model,
    RepoFile,
    RepoListing,
    RepoWarning,
    Variant,
)
from modelhub.refs import Digest, RepoPath
from tests.registry.samples import QWEN

# Every character: NUL and half surrogates too, which JSON can carry.
text = st.text(st.characters() | st.sampled_from("\x00\x1a\ud800\udfff=0af"), max_size=12)
maybe = text | st.none()
count = st.integers(0, (1 << 63) - 1) | st.none()
number = (
    st.integers() | st.floats(allow_nan=False) | st.sampled_from([1e16, 1e23, float("inf"), 1 << 64])
)
json = st.recursive(
    st.none() | st.booleans() | number | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)
document = st.dictionaries(text, json, max_size=4)
_first, _last = datetime(1971, 1, 1), datetime(2100, 1, 1)  # noqa: DTZ001 - hypothesis wants it so
moment = st.datetimes(_first, _last, timezones=st.just(UTC))
commit = st.text("0123456789abcdef", min_size=40, max_size=40)
digest = st.binary(max_size=4).map(Digest.of)
path = st.lists(st.text("abxyz019_é漢", min_size=1, max_size=6), min_size=1, max_size=3).map(
    lambda parts: RepoPath("/".join(parts))
)
file = st.builds(
    RepoFile,
    path=path,
    size=st.integers(0, 1 << 53),
    sha256=digest | st.none(),
    git_oid=maybe,
    xet_hash=maybe,
    kind=st.sampled_from(FileKind),
)
files = st.lists(file, max_size=5, unique_by=lambda one: one.path).map(tuple)
listing = st.builds(
    RepoListing,
    repo=st.just(QWEN),
    commit=commit,
    revision=text,
    default_branch=text,
    files=files,
    source_uri=text,
    card=document,
    tags=st.lists(text, max_size=3).map(tuple),
    pipeline_tag=maybe,
    library_name=maybe,
    license=maybe,
    gated=st.booleans(),
    private=st.booleans(),
    last_modified=moment | st.none(),
)
component = st.builds(
    Component,
    name=text,
    repo=text,
    commit=commit | st.none(),
    files=files,
    source=text,
    folder=text,
    format=maybe,
    precision=maybe,
    parameters=count,
)
variant = st.builds(
    Variant,
    name=text,
    format=text,
    precision=maybe,
    parameters=count,
    components=st.lists(component, max_size=2).map(tuple),
)
model = st.builds(
    Model,
    name=text,
    task=text,
    subtask=maybe,
    category=text,
    architecture=maybe,
    context_length=count,
    parameters=count,
    details=document,
    variants=st.lists(variant, max_size=2).map(tuple),
)
evidence = st.builds(
    Evidence, subject=text, key=text, value=json, evidence=text, trust=st.integers(0, 100)
)
warning = st.builds(RepoWarning, code=text, text=text)
