"""A Hub whose store has others below it."""

import pytest

from modelhub.errors import InvalidInput
from modelhub.hub.doctor import examine
from modelhub.settings import Settings
from tests.store.hands import flip

from .conftest import MODEL

WANTED = f"{MODEL}:q4_0"


@pytest.fixture
def nas(make_hub, tmp_path):
    """The folder of a store that has the model, and the snapshot in it."""
    hub = make_hub(home=tmp_path / "theirs", store=tmp_path / "nas")
    pulled = hub.pull(WANTED)
    return tmp_path / "nas", pulled


def blobs(folder):
    return {path.name: path for path in (folder / "blobs").glob("*/*/*")}


def test_a_pull_takes_from_below_what_is_there(make_hub, tmp_path, nas):
    folder, theirs = nas
    hub = make_hub(home=tmp_path / "ours", store_lower=[folder])
    assert hub.plan(WANTED).fetch_bytes == 0
    pulled = hub.pull(WANTED)
    assert pulled.fetched_bytes == 0
    assert pulled.reused_bytes == theirs.fetched_bytes + theirs.reused_bytes
    for file in pulled.files:
        assert (pulled.path / file.path).read_bytes() == (theirs.path / file.path).read_bytes()
    assert hub.verify(MODEL).ok
    usage = hub.store.usage()
    assert usage.lower == (folder.as_uri(),)
    assert folder.as_uri() in str(usage)
    assert usage.bytes >= sum(file.size for file in pulled.files)


def test_what_is_damaged_below_comes_from_the_source(make_hub, tmp_path, nas, caplog):
    folder, theirs = nas
    large = max(theirs.files, key=lambda file: file.size)
    flip(blobs(folder)[large.sha256])
    hub = make_hub(home=tmp_path / "ours", store_lower=[folder])
    pulled = hub.pull(WANTED)
    assert pulled.fetched_bytes == large.size
    assert "lower_damaged" in caplog.messages
    assert hub.verify(MODEL).ok


def test_the_doctor_says_whether_it_answers(tmp_path, nas):
    settings = Settings(home=tmp_path / "ours", store_lower=[nas[0], tmp_path / "unmounted"])
    good, bad = (one for one in examine(settings).findings if one.subject == "lower store")
    assert good.ok
    assert good.text == f"{nas[0]} can be read"
    assert not bad.ok
    assert "store_lower" in bad.advice
    assert not (tmp_path / "unmounted").exists()


def test_they_are_named_in_a_list_or_a_text(tmp_path):
    uris = ((tmp_path / "a").as_uri(), "s3://shared/models")
    for given in ([tmp_path / "a", uris[1]], f"{tmp_path}/a, {uris[1]}", f"{tmp_path}/a\n{uris[1]}\n"):
        assert Settings(home=tmp_path, store_lower=given).store_lower == uris
    environ = {"MODELHUB_STORE_LOWER": ",".join(uris)}
    assert Settings.from_env(environ, home=tmp_path).store_lower == uris
    assert Settings(home=tmp_path).store_lower == ()


@pytest.mark.parametrize("wrong", [7, [7], {"a": 1}, ["file://host/x"]])
def test_what_names_no_store_is_refused(wrong, tmp_path):
    with pytest.raises(InvalidInput):
        Settings(home=tmp_path, store_lower=wrong)


def test_a_store_is_not_below_itself(tmp_path):
    with pytest.raises(InvalidInput, match="itself"):
        Settings(home=tmp_path, store=tmp_path / "s", store_lower=[tmp_path / "s"])
