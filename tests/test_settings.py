from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from modelhub.errors import InvalidInput
from modelhub.facts import LicensePolicy
from modelhub.registry import Registry
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


@pytest.mark.parametrize(
    ("environ", "cache"),
    [
        ({"HF_HUB_CACHE": "/a", "HF_HOME": "/b"}, "/a"),
        ({"HUGGINGFACE_HUB_CACHE": "/old", "HF_HOME": "/b"}, "/old"),
        ({"HF_HOME": "/b", "XDG_CACHE_HOME": "/c"}, "/b/hub"),
        ({"HF_HOME": " ", "XDG_CACHE_HOME": "/c"}, "/c/huggingface/hub"),
    ],
)
def test_the_cache_is_where_huggingface_hub_looks(environ, cache):
    assert Settings.from_env(environ).hf_cache == Path(cache)
    assert Settings.from_env(environ, hf_cache="/mine").hf_cache == Path("/mine")
    assert Settings.from_env({}).hf_cache == Path("~/.cache/huggingface/hub").expanduser()


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


@pytest.mark.parametrize(
    ("store", "uri"),
    [
        ("file://localhost/data/a", "file:///data/a"),
        ("FILE:///data/a%20b%3F", "file:///data/a%20b%3F"),
        ("file:/data", "file:///data"),
        ("/data/100%41#?", "file:///data/100%2541%23%3F"),
        (Path("/data/s3:x"), "file:///data/s3%3Ax"),
        (Path("here:x"), (Path.cwd() / "here:x").as_uri()),
        ("~/store", (Path.home() / "store").as_uri()),
        ("s3://bucket/models", "s3://bucket/models"),
    ],
)
def test_a_store_is_a_uri(store, uri):
    made = Settings.from_env({}, store=store).store
    assert made == uri
    assert Settings(store=made).store == uri


@pytest.mark.parametrize(
    ("store", "says"),
    [
        ("", "''"),
        (" ", "' '"),
        ("file:", "no absolute folder"),
        ("file://", "no absolute folder"),
        ("file:models", "no absolute folder"),
        ("file://models", "'models'"),
        ("file://nowhere/x", "'nowhere'"),
        ("file://~/models", "'~'"),
        ("file:///a?b", "%3F"),
        ("file:///a#b", "%23"),
        ("file:///a%00b", "not the name"),
        ("file:///a%FFb", "UTF-8"),
        (b"/data", "b'/data'"),
        (5, "5"),
    ],
)
def test_a_store_that_means_another_folder_than_it_says_is_refused(store, says):
    for make in (Settings, lambda **given: Settings.from_env({}, **given)):
        with pytest.raises(InvalidInput) as caught:
            make(store=store)
        assert caught.value.details["field"] == "store"
        assert says in caught.value.message
        assert "file:///folder" in caught.value.hint


@pytest.mark.parametrize(
    "name",
    [
        "100%41",
        "%2541",
        "what?",
        "a#b",
        "two words",
        "Über 日本",
        "a&b=c;d+e",
        "x:y@z",
        "[1]",
        "~",
        "'q\"\\",
    ],
)
def test_a_home_of_any_name_holds_its_database(tmp_path, name):
    settings = Settings.from_env({}, home=tmp_path / name)
    Registry.open(settings.database).close()
    assert [folder.name for folder in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / "modelhub.db").is_file()


@pytest.mark.parametrize("home", ["", "  ", 5, "a\0b", "caf\udce9"])
def test_a_home_that_is_no_folder_is_refused(home):
    with pytest.raises(InvalidInput, match="MODELHUB_HOME") as caught:
        Settings(home=home)
    assert caught.value.details["field"] == "home"


def test_without_the_environment(monkeypatch, tmp_path):
    for name in ("MODELHUB_HOME", "MODELHUB_DATABASE_URL", "MODELHUB_STORE_URI", "MODELHUB_OFFLINE"):
        monkeypatch.setenv(name, "file:///elsewhere")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert Settings(offline=True) == Settings.from_env({}, offline=True)
    assert Settings() == Settings.from_env({})
    assert Settings(home=tmp_path, database=None) == Settings.from_env({}, home=str(tmp_path))
    assert Settings(hf_endpoint="http://127.0.0.1:9/").hf_endpoint == "http://127.0.0.1:9"


def test_settings_are_made_again_from_what_they_dump(tmp_path):
    settings = Settings(home=tmp_path / "a b", store="x", hf_token="hf_secret")
    assert Settings(**settings.model_dump()) == settings
    assert Settings.model_validate(settings.model_dump()) == settings


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"offline": "maybe"}, "offline"),
        ({"host": "cloud"}, "host"),
        ({"database": 5}, "database"),
        ({"hf_token": ["hf_secret"]}, "hf_token"),
        ({"hf_tokn": "hf_secret"}, "hf_tokn"),
        ({"database": ["postgresql://me:hf_secret@db/x"]}, "database"),
    ],
)
def test_made_directly_a_bad_setting_is_named_and_no_secret_is_told(given, field):
    with pytest.raises(InvalidInput) as caught:
        Settings(**{"hf_token": "hf_secret"} | given)
    assert caught.value.details["field"] == field
    assert field in caught.value.message
    assert caught.value.hint
    assert "hf_secret" not in str(caught.value)
    with pytest.raises(ValidationError) as raw:
        Settings.model_validate({"hf_token": "hf_secret"} | given)
    assert "hf_secret" not in str(raw.value)


def test_a_password_is_not_shown():
    settings = Settings(database="postgresql://me:secret@db/x", hf_token="secret")
    assert "secret" not in repr(settings) + str(settings)


@pytest.mark.parametrize("token", ["hf_abc\n", "  hf_abc\r\n", SecretStr("hf_abc\n")])
def test_blanks_around_a_token_are_not_of_it(token):
    made = [Settings(hf_token=token)]
    if isinstance(token, str):
        made.append(Settings.from_env({"HF_TOKEN": token}))
    for settings in made:
        assert settings.hf_token.get_secret_value() == "hf_abc"


def test_a_blank_variable_is_not_set(tmp_path):
    environ = {"HF_TOKEN": "\n", "HUGGING_FACE_HUB_TOKEN": "hf_abc", "MODELHUB_HOME": " "}
    settings = Settings.from_env(environ)
    assert settings.hf_token.get_secret_value() == "hf_abc"
    assert settings.home == Settings().home
    assert Settings.from_env({"HF_TOKEN": "\n"}).hf_token is None
    # Given by hand it means: ask as a stranger.
    assert Settings.from_env({}, hf_token="").hf_token.get_secret_value() == ""


def test_settings_are_frozen_and_refuse_strangers(tmp_path):
    settings = Settings.from_env({}, home=tmp_path)
    with pytest.raises(ValueError, match="frozen"):
        settings.offline = True
    with pytest.raises(InvalidInput, match="colour"):
        Settings.from_env({}, colour="red")


def test_a_licence_policy_is_a_text_or_a_policy():
    text = "refuse:license.conflict;allow:apache-2.0"
    policy = LicensePolicy.parse(text)
    assert Settings.from_env({"MODELHUB_LICENSE_POLICY": text}).license_policy == policy
    assert Settings(license_policy=policy).license_policy is policy
    assert not Settings().license_policy
    with pytest.raises(InvalidInput, match="MODELHUB_LICENSE_POLICY") as caught:
        Settings.from_env({"MODELHUB_LICENSE_POLICY": "commercial"})
    assert caught.value.details["field"] == "license_policy"


@pytest.mark.parametrize(
    ("text", "rate"),
    [("50MB/s", 50_000_000), ("1.5 MiB/s", 1_572_864), ("300k", 300_000), ("2GB", 2 * 10**9), ("7", 7)],
)
def test_a_bandwidth_is_read(text, rate):
    assert Settings.from_env({"MODELHUB_BANDWIDTH": text}).bandwidth == rate
    assert Settings(bandwidth=rate).bandwidth == rate


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("MODELHUB_BANDWIDTH", "fast"),
        ("MODELHUB_BANDWIDTH", "0"),
        ("MODELHUB_BANDWIDTH", "-5MB/s"),
        ("MODELHUB_MAX_CONNECTIONS", "0"),
        ("MODELHUB_MAX_CONNECTIONS_PER_HOST", "many"),
        ("MODELHUB_XET", "perhaps"),
    ],
)
def test_a_bad_limit_is_refused_by_its_name(variable, text):
    with pytest.raises(InvalidInput) as caught:
        Settings.from_env({variable: text})
    assert variable in caught.value.hint
    assert text in caught.value.message
