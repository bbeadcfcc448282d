from pathlib import Path

import pytest

from modelhub.errors import InvalidInput
from modelhub.settings import Settings


def test_defaults_live_under_home(tmp_path):
    settings = Settings.from_env({"MODELHUB_HOME": str(tmp_path)})
    assert settings.home == tmp_path
    assert settings.database == f"sqlite:///{tmp_path}/modelhub.db"
    assert settings.store == (tmp_path / "store").as_uri()
    assert not settings.offline
    assert settings.hf_endpoint == "https://huggingface.co"


def test_without_home_the_users_data_folder():
    settings = Settings.from_env({})
    assert settings.home.name == "modelhub"
    assert settings.home.is_absolute()


def test_each_comes_from_the_environment_and_arguments_win(tmp_path):
    environ = {
        "MODELHUB_DATABASE_URL": "postgresql://db/x",
        "MODELHUB_STORE_URI": "file:///data/a%20b",
        "MODEL_STORE_URI": "file:///old",
        "MODELHUB_OFFLINE": "1",
        "HF_ENDPOINT": "http://127.0.0.1:9/",
        "HF_TOKEN": "hf_secret",
    }
    settings = Settings.from_env(environ, database="sqlite:///x.db", home=tmp_path)
    assert settings.database == "sqlite:///x.db"
    assert settings.store == "file:///data/a%20b"
    assert settings.offline
    assert settings.hf_endpoint == "http://127.0.0.1:9"
    assert "hf_secret" not in repr(settings)
    del environ["MODELHUB_STORE_URI"]
    assert Settings.from_env(environ).store == "file:///old"


@pytest.mark.parametrize("store", ["/data/store", Path("/data/store")])
def test_a_store_may_be_a_plain_folder(store):
    assert Settings.from_env({}, store=store).store == "file:///data/store"


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"MODELHUB_OFFLINE": "maybe"}, ("offline", "maybe", "MODELHUB_OFFLINE")),
        ({"MODELHUB_HOST": "cloud"}, ("host", "cloud", "thread")),
    ],
)
def test_a_bad_setting_is_named_with_what_came_and_where(given, named):
    with pytest.raises(InvalidInput) as caught:
        Settings.from_env(given)
    assert all(word in str(caught.value) for word in named)


def test_a_home_that_no_database_url_can_hold(tmp_path):
    with pytest.raises(InvalidInput, match="MODELHUB_HOME"):
        Settings.from_env({}, home=tmp_path / "what?")


def test_settings_are_frozen_and_refuse_strangers(tmp_path):
    settings = Settings.from_env({}, home=tmp_path)
    with pytest.raises(ValueError, match="frozen"):
        settings.offline = True
    with pytest.raises(InvalidInput, match="colour"):
        Settings.from_env({}, colour="red")
