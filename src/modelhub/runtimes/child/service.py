"""What a child does: loads one model and answers requests for it, until it is told to end."""

import logging
import os
import threading
import time
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

_TICK = 0.1


class Service:
    """Threads that take turns at the channel: whoever reads a call passes the turn on and answers it.

    So a call wakes one thread here, not two. There are as many threads as calls at a time, and one that
    reads; `max_concurrency` of the calls are in the instance, the others wait before it.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._name = ""
        self._instance: Instance | None = None
        self._room = threading.Semaphore(1)
        self._works: dict[int, Work] = {}
        self._turn = threading.Lock()
        self._counting = threading.Lock()
        self._idle = 0
        self._over = threading.Event()

    def run(self) -> None:
        """Serve until the parent says that it is enough. When it is gone, so is this process."""
        self._add_thread()
        self._over.wait()
        for work in list(self._works.values()):
            work.cancel()
        if self._instance is not None:
            self._instance.close()
        while self._works:
            time.sleep(0.005)

    def _add_thread(self) -> None:
        self._count(1)
        threading.Thread(target=self._serve, name="call", daemon=True).start()

    def _count(self, change: int) -> None:
        with self._counting:
            self._idle += change

    def _serve(self) -> None:
        while True:
            with self._turn:
                self._count(-1)
                work = self._next()
                if work is None:
                    return
                if self._idle == 0:
                    self._add_thread()
            self._do(*work)
            self._count(1)

    def _next(self) -> tuple[int, Work] | None:
        """The next call, once everything before it is obeyed; `None` when there is no more."""
        while not self._over.is_set():
            try:
                message = self._channel.receive()
            except (EOFError, OSError):
                os._exit(1)
            except (ValueError, LookupError, TypeError):
                log.exception("parent_incomprehensible")
                os._exit(1)
            if message["type"] == "close":
                self._over.set()
            elif message["type"] != "call":
                self._obey(message)
            elif (work := self._begun(message)) is not None:
                return work
        return None

    def _obey(self, message: Message) -> None:
        number = message.get("id", 0)
        match message["type"]:
            case "load":
                threading.Thread(target=self._load, args=(message,), name="load", daemon=True).start()
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
            instance = load(message)
            capabilities = instance.capabilities
            self._room = threading.Semaphore(capabilities.max_concurrency)
            self._instance = instance
            self._say(number, "loaded", capabilities=capabilities, last=True)
        except ModelHubError as error:
            self._say(number, "error", **error_message(error), last=True)
        except BaseException as error:  # noqa: BLE001 - a plugin may raise anything, SystemExit too
            failed = LoadFailed(f"it failed: {type(error).__name__}: {error}")
            failed.__cause__ = error
            self._say(number, "error", **error_message(failed), last=True)

    def _begun(self, message: Message) -> tuple[int, Work] | None:
        number = message["id"]
        if self._instance is None:
            error = EngineError("no model is loaded in this process")
            self._say(number, "error", **error_message(error), last=True)
            return None
        work = Work(self._name, self._instance, message, partial(self._say, number))
        self._works[number] = work
        return number, work

    def _do(self, number: int, work: Work) -> None:
        try:
            entered = self._enter(work)
            try:
                work.run()
            finally:
                if entered:
                    self._room.release()
        except OSError:
            os._exit(1)  # the parent is gone
        except BaseException:
            log.exception("call_not_answered")
            os._exit(1)  # better than that whoever asked waits for ever
        finally:
            self._works.pop(number, None)

    def _enter(self, work: Work) -> bool:
        """Wait for room in the instance. One that is over need not, and only says so."""
        while not self._room.acquire(timeout=_TICK):
            if work.over:
                return False
        return True

    def _say(self, number: int, kind: str, **more: Any) -> None:
        self._channel.send({"type": kind, "id": number, **more})


def own_memory() -> int | None:
    """Bytes of memory that this process has to itself; `None` where the system does not tell.

    Source: `proc(5)`, `/proc/self/statm` in pages: resident minus shared with files.
    """
    try:
        fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    except OSError:
        return None
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")
