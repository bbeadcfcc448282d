"""How large files come into a snapshot: by a setting, or for one pull."""

import pytest

from modelhub.errors import InvalidInput
from modelhub.settings import Settings

MODEL = "zoo/tiny-chat-GGUF"


def links(snapshot):
    return {file.link for file in snapshot.files if file.size >= 65_536}


@pytest.mark.parametrize("mode", ["hardlink", "symlink", "copy"])
def test_of_one_pull_and_of_the_hub(make_hub, mode):
    hub = make_hub()
    assert links(hub.pull(MODEL, link_mode=mode)) == {mode}
    assert links(hub.pull(MODEL)) == {mode}  # what is right stays
    assert links(make_hub(link_mode="symlink").pull(MODEL)) == {"symlink"}


def test_what_cannot_be_is_refused_before_anything_is_fetched(make_hub, tmp_path):
    hub = make_hub()
    hub.sync(MODEL)
    if hub.store.capabilities.reflink:
        pytest.skip("this file system shares blocks")
    with pytest.raises(InvalidInput, match="cannot reflink; it has"):
        hub.pull(MODEL, link_mode="reflink")
    with pytest.raises(InvalidInput, match="link_mode must be one of"):
        hub.pull(MODEL, link_mode="hard")
    blobs = (tmp_path / "home" / "store" / "blobs").rglob("*")
    assert not [path for path in blobs if path.is_file() and path.stat().st_size >= 65_536]
    with pytest.raises(InvalidInput, match="cannot reflink"):
        make_hub(link_mode="reflink")


def test_settings():
    read = Settings.from_env({"MODELHUB_LINK_MODE": "copy", "MODELHUB_FS_VERITY": "off"})
    assert (read.link_mode, read.fs_verity) == ("copy", "off")
    assert (Settings().link_mode, Settings().fs_verity) == ("auto", "auto")
    for name in ("link_mode", "fs_verity"):
        with pytest.raises(InvalidInput, match=f"setting {name}: .*not 'hard'"):
            Settings(**{name: "hard"})
