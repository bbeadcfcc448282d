"""What a child does: loads one model and answers requests for it, until it is told to end."""

import logging
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from modelhub.errors import EngineError, LoadFailed, ModelHubError
from modelhub.runtimes.base import Instance
from modelhub.runtimes.child.loading import load
from modelhub.runtimes.child.work import Work
from modelhub.runtimes.hosts.channel import Channel
from modelhub.runtimes.hosts.wire import Message, error_message

log = logging.getLogger(__name__)


class Service:
    """The main thread of a child: reads, and hands what it reads to threads that may block."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._name = ""
        self._instance: Instance | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._works: dict[int, Work] = {}

    def run(self) -> None:
        """Read and obey, until `close`. When the parent is gone, so is this process."""
        while True:
            try:
                message = self._channel.receive()
            except (EOFError, OSError):
                os._exit(1)
            except (ValueError, LookupError, TypeError):
                log.exception("parent_incomprehensible")
                os._exit(1)
            if message["type"] == "close":
                break
            self._obey(message)
        self._close()

    def _obey(self, message: Message) -> None:
        number = message.get("id", 0)
        match message["type"]:
            case "load":
                threading.Thread(target=self._load, args=(message,), name="load", daemon=True).start()
            case "call":
                self._begin(message)
            case "cancel" if number in self._works:
                self._works[number].cancel()
            case "more" if number in self._works:
                self._works[number].more(message["count"])
            case "stats":
                self._say(number, "stats", memory=own_memory(), calls=len(self._works), last=True)

    def _load(self, message: Message) -> None:
        number = message["id"]
        try:
            self._name = message["name"]
            self._instance = load(message)
        except ModelHubError as error:
            self._say(number, "error", **error_message(error), last=True)
        except BaseException as error:  # noqa: BLE001 - a plugin may raise anything, SystemExit too
            failed = LoadFailed(f"it failed: {type(error).__name__}: {error}")
            failed.__cause__ = error
            self._say(number, "error", **error_message(failed), last=True)
        else:
            capabilities = self._instance.capabilities
            self._pool = ThreadPoolExecutor(capabilities.max_concurrency, "call")
            self._say(number, "loaded", capabilities=capabilities, last=True)

    def _begin(self, message: Message) -> None:
        number = message["id"]
        if self._instance is None or self._pool is None:
            error = EngineError("no model is loaded in this process")
            self._say(number, "error", **error_message(error), last=True)
            return
        say = partial(self._say, number)
        work = Work(self._name, self._instance, message, say)
        self._works[number] = work
        self._pool.submit(self._do, number, work)

    def _do(self, number: int, work: Work) -> None:
        try:
            work.run()
        except OSError:
            os._exit(1)  # the parent is gone
        finally:
            self._works.pop(number, None)

    def _say(self, number: int, kind: str, **more: Any) -> None:
        self._channel.send({"type": kind, "id": number, **more})

    def _close(self) -> None:
        for work in tuple(self._works.values()):
            work.cancel()
        if self._instance is not None:
            self._instance.close()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


def own_memory() -> int | None:
    """Bytes of memory that this process has to itself; `None` where the system does not tell.

    Source: `proc(5)`, `/proc/self/statm` in pages: resident minus shared with files.
    """
    try:
        fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    except OSError:
        return None
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")
