"""What a Hub is told once, at the edge. No other room reads the environment."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import unquote, urlsplit

from platformdirs import user_data_path
from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError

from modelhub.errors import InvalidInput

DEFAULT_ENDPOINT = "https://huggingface.co"

_FROM_ENV = {
    "home": ("MODELHUB_HOME",),
    "database": ("MODELHUB_DATABASE_URL",),
    "store": ("MODELHUB_STORE_URI", "MODEL_STORE_URI"),
    "offline": ("MODELHUB_OFFLINE",),
    "host": ("MODELHUB_HOST",),
    "hf_endpoint": ("HF_ENDPOINT",),
    "hf_token": ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"),
}


class Settings(BaseModel):
    """Everything that can be set about a Hub.

    `home` is the folder for all that modelhub keeps; `database` an SQLAlchemy URL (SQLite in
    `home` by default); `store` the URI of the artifact store (a folder in `home` by default);
    `offline` forbids every socket; `host` is where models run (`thread`: in this process);
    `hf_endpoint` and `hf_token` are for Hugging Face (a token of `None` leaves the choice to
    huggingface_hub, which knows its login file; an empty one stays anonymous).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    home: Path
    database: str
    store: str
    offline: bool = False
    host: Literal["thread"] = "thread"
    hf_endpoint: str = DEFAULT_ENDPOINT
    hf_token: SecretStr | None = None

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **given: Any) -> Self:
        """Settings from `environ` (this process's by default); what is `given` and not `None` wins.

        Raises:
            InvalidInput: naming the setting, what came and what would do.
        """
        environ = os.environ if environ is None else environ
        values: dict[str, Any] = {}
        for name, variables in _FROM_ENV.items():
            found = [environ[variable] for variable in variables if environ.get(variable)]
            if found:
                values[name] = found[0]
        values |= {name: value for name, value in given.items() if value is not None}
        home = Path(values.get("home") or user_data_path("modelhub")).expanduser().absolute()
        values |= {"home": home}
        values.setdefault("database", sqlite_url(home / "modelhub.db"))
        values.setdefault("store", (home / "store").as_uri())
        values["store"] = _store_uri(values["store"])
        values["hf_endpoint"] = str(values.get("hf_endpoint", DEFAULT_ENDPOINT)).rstrip("/")
        return cls._checked(values)

    @classmethod
    def _checked(cls, values: Mapping[str, Any]) -> Self:
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = str(first["loc"][0])
            variables = " or ".join(_FROM_ENV.get(name, ()))
            raise InvalidInput(
                f"setting {name}: {first['msg']}, not {first['input']!r:.80}",
                hint=f"Pass {name}= to Hub()" + (f", or set {variables}." if variables else "."),
                field=name,
            ) from None


def sqlite_url(path: Path) -> str:
    """The SQLAlchemy URL of an SQLite file."""
    return f"sqlite:///{path.as_posix()}"


def _store_uri(store: "str | os.PathLike[str]") -> str:
    """A URI; a plain path becomes a `file://` one."""
    text = os.fspath(store)
    scheme = urlsplit(text).scheme
    if scheme == "file":
        return Path(unquote(urlsplit(text).path)).absolute().as_uri()
    if len(scheme) > 1:
        return text
    return Path(text).expanduser().absolute().as_uri()
