"""What a Hub is told once, at the edge. No other room reads the environment."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote, unquote_to_bytes

from platformdirs import user_data_path
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from modelhub.errors import InvalidInput
from modelhub.facts import LicensePolicy
from modelhub.facts.base import parse_bytes

DEFAULT_ENDPOINT = "https://huggingface.co"

_FROM_ENV = {
    "home": ("MODELHUB_HOME",),
    "database": ("MODELHUB_DATABASE_URL",),
    "store": ("MODELHUB_STORE_URI", "MODEL_STORE_URI"),
    "store_lower": ("MODELHUB_STORE_LOWER",),
    "offline": ("MODELHUB_OFFLINE",),
    "host": ("MODELHUB_HOST",),
    "store_quota": ("MODELHUB_STORE_QUOTA",),
    "cache": ("MODELHUB_CACHE",),
    "cache_quota": ("MODELHUB_CACHE_QUOTA",),
    "s3_endpoint": ("MODELHUB_S3_ENDPOINT",),
    "verify": ("MODELHUB_VERIFY",),
    "link_mode": ("MODELHUB_LINK_MODE",),
    "fs_verity": ("MODELHUB_FS_VERITY",),
    "python": ("MODELHUB_PYTHON",),
    "license_policy": ("MODELHUB_LICENSE_POLICY",),
    "recipes": ("MODELHUB_RECIPES",),
    "workers": ("MODELHUB_WORKERS",),
    "hf_endpoint": ("HF_ENDPOINT",),
    "hf_cache": ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"),
    "max_connections": ("MODELHUB_MAX_CONNECTIONS",),
    "max_connections_per_host": ("MODELHUB_MAX_CONNECTIONS_PER_HOST",),
    "bandwidth": ("MODELHUB_BANDWIDTH",),
    "xet": ("MODELHUB_XET",),
    "hf_token": ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
}

_SHOWN = frozenset(
    {
        "home",
        "offline",
        "host",
        "verify",
        "python",
        "recipes",
        "workers",
        "store_quota",
        "link_mode",
        "fs_verity",
        "cache",
        "cache_quota",
        "hf_cache",
        "max_connections",
        "max_connections_per_host",
        "xet",
    }
)
"""Settings whose values an error may show: the others may hold a password."""

_PER_SECOND = re.compile(r"/s\s*\Z", re.IGNORECASE)
_HF_HOMES = (("HF_HOME", "hub"), ("XDG_CACHE_HOME", "huggingface/hub"))
"""Where huggingface_hub looks for its cache when it is not named, in its order."""
_HF_CACHE = "~/.cache/huggingface/hub"

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(?=:)")


class Settings(BaseModel):
    """Everything that can be set about a Hub; what is left out, or `None`, has its default.

    `home` is the folder for all that modelhub keeps (the user's data folder by default); `database` an
    SQLAlchemy URL (SQLite in `home` by default); `store` the URI of the artifact store, or a folder (one
    in `home` by default), and `store_quota` how many bytes it may hold (as many as come by default; a
    text such as `200GB` will do); `store_lower` are stores below it, folders or URIs, that are only read
    (a text has commas or newlines between them); of a bucket, `cache` is the folder of this host's
    copies (one in `home` by default), `cache_quota` how many bytes they may take, and `s3_endpoint` the
    address of a server that is not Amazon's; `offline` forbids every socket; `host` is where models run
    (`thread`: in this process; `process`: each in a child process); `verify` is how much is read of
    files before they are used (`proof`: what has no proof that holds; `full`: all; `off`: nothing);
    `link_mode` is how large files come into snapshots (`auto`: as the file system can; `hardlink`,
    `symlink`, `reflink`, `copy`), and `fs_verity` whether the kernel is asked to seal what is stored
    (`auto`: where it can; `off`); `python` is the interpreter of these children (this one by default);
    `license_policy` says which licences are refused, as a `LicensePolicy` or its text (none by default);
    `recipes` is the folder of your own recipes (one in `home` by default); `workers` is how many threads
    of this process do submitted jobs (0 leaves them to `modelhub worker`); `hf_endpoint` and `hf_token`
    are for Hugging Face (a token of `None` leaves the choice to huggingface_hub, which knows its login
    file; an empty one stays anonymous), `hf_cache` is the folder where huggingface_hub keeps what it
    fetched. Of the network, a process takes at most `max_connections` connections, of them
    `max_connections_per_host` to one host, and `bandwidth` bytes a second (no limit by default; a text
    such as `50MB/s` will do); `xet` lets hf-xet fetch what the hub keeps so. The environment is read by
    `from_env` alone.

    Raises:
        InvalidInput: naming the setting, what came and what would do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    home: Path
    database: str = Field(repr=False)
    store: str
    offline: bool = False
    host: Literal["thread", "process"] = "thread"
    store_quota: int | None = Field(default=None, ge=1)
    store_lower: tuple[str, ...] = ()
    cache: Path
    cache_quota: int | None = Field(default=None, ge=1)
    s3_endpoint: str | None = None
    verify: Literal["proof", "full", "off"] = "proof"
    link_mode: Literal["auto", "hardlink", "symlink", "reflink", "copy"] = "auto"
    fs_verity: Literal["auto", "off"] = "auto"
    python: str | None = None
    license_policy: LicensePolicy = LicensePolicy()
    recipes: Path
    workers: int = Field(default=2, ge=0, le=256)
    hf_endpoint: str = DEFAULT_ENDPOINT
    hf_cache: Path
    hf_token: SecretStr | None = None
    max_connections: int = Field(default=32, ge=1, le=1024)
    max_connections_per_host: int = Field(default=16, ge=1, le=1024)
    bandwidth: int | None = None
    xet: bool = True

    def __init__(self, /, **given: Any) -> None:
        values = {name: value for name, value in given.items() if value is not None}
        home = _folder("home", values.get("home", user_data_path("modelhub")))
        values["home"] = home
        values.setdefault("database", sqlite_url(home))
        values["recipes"] = _folder("recipes", values.get("recipes", home / "recipes"))
        values["store"] = _store_uri(values.get("store", home / "store"))
        values["store_lower"] = _lower(values.get("store_lower", ()), values["store"])
        values["cache"] = _folder("cache", values.get("cache", home / "cache"))
        values["hf_cache"] = _folder("hf_cache", values.get("hf_cache", _HF_CACHE))
        for name in ("store_quota", "cache_quota"):
            if isinstance(quota := values.get(name), str):
                values[name] = parse_bytes(quota, name)
        values["license_policy"] = LicensePolicy.parse(values.get("license_policy", ""))
        if "bandwidth" in values:
            values["bandwidth"] = _rate(values["bandwidth"])
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise _explained(error) from None

    @field_validator("hf_endpoint")
    @classmethod
    def _without_slash(cls, endpoint: str) -> str:
        return endpoint.rstrip("/")

    @field_validator("hf_token")
    @classmethod
    def _without_blanks(cls, token: SecretStr | None) -> SecretStr | None:
        """A token that was read from a file ends with its newline."""
        return None if token is None else SecretStr(token.get_secret_value().strip())

    @classmethod
    def chosen(cls, settings: Self | None, **given: Any) -> Self:
        """`settings` as they are; without them, those that are `given` and those of the environment.

        Raises:
            InvalidInput: for both at once, for what are no settings, and as `from_env`.
        """
        if settings is None:
            return cls.from_env(None, **given)
        if any(value is not None for value in given.values()):
            raise InvalidInput(
                "settings= came together with other settings",
                hint="Put them all into one Settings object, or pass none.",
                field="settings",
            )
        if not isinstance(settings, cls):
            raise InvalidInput(
                f"settings must be a Settings object, not {type(settings).__name__}",
                hint="A database is given as Hub(database='postgresql+psycopg://…').",
                field="settings",
            )
        return settings

    def moved(self, store: str | os.PathLike[str]) -> Self:
        """The same, with another store.

        Raises:
            InvalidInput: for what names none.
        """
        return self.model_copy(update={"store": _store_uri(store)})

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **given: Any) -> Self:
        """Settings from `environ` (this process's by default); what is `given` and not `None` wins.

        A variable that is empty or blank counts as not set.

        Raises:
            InvalidInput: naming the setting, what came and what would do.
        """
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        for name, variables in _FROM_ENV.items():
            found = [environ[key] for key in variables if environ.get(key, "").strip()]
            if found:
                values[name] = found[0]
        for key, below in _HF_HOMES:
            if environ.get(key, "").strip():
                values.setdefault("hf_cache", Path(environ[key]) / below)
        values |= {name: value for name, value in given.items() if value is not None}
        return cls(**values)


def sqlite_url(home: Path) -> str:
    """The SQLAlchemy URL of the SQLite file in `home`."""
    return f"sqlite:///{quote((home / 'modelhub.db').as_posix(), safe='/:')}"


def _folder(name: str, given: object) -> Path:
    """An absolute folder from what a person wrote. It can be written as a URI, so it is text."""
    text = os.fspath(given) if isinstance(given, str | os.PathLike) else None
    if not isinstance(text, str) or not text.strip() or "\0" in text:
        raise _refused(name, f"{given!r:.80} is not the name of a folder")
    try:
        text.encode()
        return Path(text).expanduser().absolute()
    except UnicodeEncodeError:
        raise _refused(name, f"{text!r:.80} is not UTF-8") from None
    except RuntimeError as error:  # `~nobody`
        raise _refused(name, f"{text!r:.80} cannot be found: {error}") from None


def _rate(given: object) -> int:
    """Bytes a second, from a number or a text such as `50MB/s`."""
    try:
        rate = (
            0 if isinstance(given, bool) else parse_bytes(_PER_SECOND.sub("", str(given)), "bandwidth")
        )
    except InvalidInput:
        rate = 0
    if rate < 1:
        raise _refused("bandwidth", f"{given!r:.40} is no number of bytes a second, such as 50MB/s")
    return rate


def _store_uri(store: object) -> str:
    """A URI; a plain path becomes a `file://` one. Other schemes are the store's to judge."""
    scheme = _SCHEME.match(store) if isinstance(store, str) else None
    if scheme is None:
        return _folder("store", store).as_uri()
    if scheme[0].lower() != "file":
        return str(store)
    return _file_path(str(store)).as_uri()


def _lower(given: object, store: str) -> tuple[str, ...]:
    """The URIs of lower stores, each once, from a text or a list of them."""
    if isinstance(given, str):
        given = [each.strip() for each in re.split(r"[,\n]", given) if each.strip()]
    elif isinstance(given, os.PathLike):
        given = [given]
    if not isinstance(given, list | tuple):
        raise _refused("store_lower", f"{given!r:.80} is no list of folders or URIs")
    uris = tuple(dict.fromkeys(map(_store_uri, given)))
    if store.rstrip("/") in {uri.rstrip("/") for uri in uris}:
        raise _refused("store_lower", "it names the store itself")
    return uris


def _file_path(uri: str) -> Path:
    """The folder that a `file:` URI names; no part of the URI may get lost on the way."""
    rest = uri.partition(":")[2]
    host, path = "", rest
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        path = slash + path
    if host not in {"", "localhost"}:
        raise _refused("store", f"{uri!r:.80} names a host, {host!r:.60}, and no folder of this machine")
    if not path.startswith("/"):
        raise _refused("store", f"{uri!r:.80} names no absolute folder")
    if "?" in path or "#" in path:
        raise _refused("store", f"{uri!r:.80} has a '?' or '#', which a URI writes as %3F and %23")
    return _folder("store", os.fsdecode(unquote_to_bytes(path)))


def _refused(name: str, why: str) -> InvalidInput:
    hint = _where(name)
    if name == "store":
        hint = f"Write a folder, or its URI with three slashes: file:///folder. {hint}"
    return InvalidInput(f"setting {name}: {why}", hint=hint, field=name)


def _explained(error: ValidationError) -> InvalidInput:
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0])
    if first["type"] == "extra_forbidden":
        known = ", ".join(Settings.model_fields)
        return InvalidInput(
            f"there is no setting {name!r:.60}", hint=f"Settings are: {known}.", field=name
        )
    came = f", not {first['input']!r:.80}" if name in _SHOWN else ""
    return InvalidInput(f"setting {name}: {first['msg']}{came}", hint=_where(name), field=name)


def _where(name: str) -> str:
    return f"Pass another {name}=, or set {' or '.join(_FROM_ENV[name])}."
