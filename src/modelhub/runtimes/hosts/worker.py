"""A child process as its parent sees it: started, spoken with, ended."""

import contextlib
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Generator, Mapping
from itertools import count
from typing import Any

from modelhub.errors import EngineError, InvalidInput, ProcessLost
from modelhub.facts import Call
from modelhub.runtimes.hosts.channel import Channel, ends
from modelhub.runtimes.hosts.environment import child_environment
from modelhub.runtimes.hosts.wire import Message

log = logging.getLogger(__name__)

MODULE = "modelhub.runtimes.child"

TICK = 0.1
"""Seconds between two looks at the call, for whoever waits."""

PATIENCE = 5.0
"""Seconds that a child has to end by itself when it is told to."""

OBEDIENCE = 30.0
"""Seconds that a child has to let go of a request that nobody waits for any more: as long as a long step
of an engine, in which it cannot look.
"""

_LAST_WORDS = 8192
"""Bytes of the end of a child's standard error that are kept."""

_HELLO = 0
"""The number of the question that nobody has to ask: which versions it speaks."""

_living: "weakref.WeakSet[Worker]" = weakref.WeakSet()


class Worker:
    """A child process and the requests that it works on.

    It has a session of its own, so that Ctrl-C on the terminal reaches this process alone. A thread
    reads what it says and hands it to whoever asked; when the child is gone, all of them hear of it,
    and what it had started itself ends too. One that goes on with what was cancelled is killed.
    It ends when this process does, however that ends: its lifeline, a pipe, breaks then.
    """

    def __init__(self, name: str, python: str = sys.executable) -> None:
        self.name = name
        self.python = python
        self._asked: dict[int, queue.SimpleQueue[Message | None]] = {_HELLO: queue.SimpleQueue()}
        self._left: dict[int, float] = {}
        """When those who asked left, for what the child has not ended yet."""
        self._numbers = count(1)
        self._lock = threading.Lock()
        self._gone = threading.Event()
        self._ending = False
        self._said = b""
        self._process, self._channel, self._lifeline = self._start()
        self.pid = self._process.pid
        self._owner = os.getpid()
        _living.add(self)
        works = {
            "reader": self._read,
            "listener": self._listen,
            "watcher": self._watch,
            "overseer": self._oversee,
        }
        self._threads = {
            what: threading.Thread(target=work, name=f"{name}-{self.pid}-{what}", daemon=True)
            for what, work in works.items()
        }
        for thread in self._threads.values():
            thread.start()

    def _start(self) -> tuple["subprocess.Popen[bytes]", Channel, int]:
        mine, its = ends()
        breath, lifeline = os.pipe()
        command = [self.python, "-P", "-m", MODULE, str(its.fileno()), str(breath)]
        try:
            process = subprocess.Popen(
                command,
                env=child_environment(self.python),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(its.fileno(), breath),
                start_new_session=True,
            )
        except OSError as error:
            mine.close()
            os.close(lifeline)
            raise InvalidInput(
                f"python: {self.python} cannot be run: {error.strerror}",
                hint="Name a Python interpreter in which modelhub is installed.",
                field="python",
            ) from error
        finally:
            its.close()
            os.close(breath)
        return process, Channel(mine), lifeline

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return not (self._gone.is_set() or self._ending)

    def hello(self, call: Call) -> Message:
        """What the child says first: the versions that it speaks.

        Raises:
            Cancelled, DeadlineExceeded, ProcessLost
        """
        return self._next(self._asked[_HELLO], call)

    def ask(self, message: Mapping[str, Any], call: Call) -> Generator[Message]:
        """Send a message and give out the answers to it, until the caller has enough.

        The child learns when the caller leaves before the message that is `last`.

        Raises:
            Cancelled, DeadlineExceeded: from the call, within a tenth of a second.
            ProcessLost: when the child is gone.
        """
        call.check()
        number = next(self._numbers)
        answers: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        with self._lock:
            if self._gone.is_set():
                raise self.lost()
            self._asked[number] = answers
        sent = last = False
        try:
            self._send({**message, "id": number})
            sent = True
            while not last:
                answer = self._next(answers, call)
                last = bool(answer.get("last"))
                yield answer
        finally:
            if sent and not last:
                self._leave(number, answers)
            self._asked.pop(number, None)
            if not sent:
                self._tell({"type": "cancel", "id": number})  # Ctrl-C may come when all has gone out

    def _leave(self, number: int, answers: "queue.SimpleQueue[Message | None]") -> None:
        """Cancel a question. A finalizer may do so in the middle of anything: there is no lock here."""
        self._left[number] = time.monotonic()
        self._asked.pop(number, None)  # no more answers from here on
        while not answers.empty():
            message = answers.get()
            if message is None or message.get("last"):
                self._left.pop(number, None)
                return
        self._tell({"type": "cancel", "id": number})

    def _next(self, answers: "queue.SimpleQueue[Message | None]", call: Call) -> Message:
        while True:
            left = call.remaining
            try:
                answer = answers.get(timeout=TICK if left is None else max(0.001, min(TICK, left)))
            except queue.Empty:
                call.check()
                continue
            if answer is None:
                raise self.lost()
            return answer

    def _send(self, message: Message) -> None:
        try:
            self._channel.send(message)
        except OSError as error:
            raise self.lost() from error

    def more(self, number: int, credit: int) -> None:
        """Let a stream go on: its reader has room for so many chunks more."""
        self._tell({"type": "more", "id": number, "count": credit})

    def _tell(self, message: Message) -> None:
        """Say something that needs no answer; a child that is gone need not hear it."""
        with contextlib.suppress(OSError):
            self._channel.post(message)

    def lost(self) -> EngineError:
        """That it is gone, and what is known of why."""
        if self._ending:
            return EngineError("this model was unloaded", hint="Load it again.")
        status = self._process.returncode
        return ProcessLost(
            f"the process of {self.name} {_ended(status)}",
            hint=self.last_words() or "The next request starts it again.",
            pid=self.pid,
            status=status,
        )

    def last_words(self) -> str:
        """The end of what it wrote to standard error."""
        return self._said.decode(errors="replace").strip()[-2000:]

    def _read(self) -> None:
        try:
            while True:
                message = self._channel.receive()
                number = message.get("id", 0)
                if (answers := self._asked.get(number)) is not None:
                    answers.put(message)
                if message.get("last"):
                    self._left.pop(number, None)  # put there before or after: `_leave` looks at both
        except (EOFError, OSError):
            if self._ending:
                return  # it has been told to end, and is given the time
        except Exception:
            log.exception("child_incomprehensible", extra={"pid": self.pid, "runtime_type": self.name})
        self._kill()

    def _watch(self) -> None:
        """See it end, even when something that it started holds its end of the socket; bury it then:
        nothing of it is left, and all know.
        """
        with contextlib.suppress(ChildProcessError):  # the program ignores SIGCHLD: it has ended
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        self._kill()  # what it started itself; its number is taken as long as it is not waited for
        self._channel.hang_up()
        self._threads["reader"].join()
        with self._lock:
            self._process.wait()
            self._gone.set()
            waiting = list(self._asked.values())
        for answers in waiting:
            answers.put(None)
        self._channel.close()
        os.close(self._lifeline)
        if not self._ending:
            log.warning(
                "child_lost",
                extra={"pid": self.pid, "runtime_type": self.name, "status": self._process.returncode},
            )

    def _oversee(self) -> None:
        suspected: set[int] = set()
        while not self._gone.wait(1.0):
            late = time.monotonic() - OBEDIENCE
            overdue = {number for number, left in list(self._left.items()) if left < late}
            # Seen twice: when this process itself stood still, its reader has to catch up first.
            if overdue & suspected:
                log.error("child_disobedient", extra={"pid": self.pid, "runtime_type": self.name})
                self._kill()
                return
            suspected = overdue

    def _listen(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as stderr:
            while piece := os.read(stderr.fileno(), 4096):
                self._said = (self._said + piece)[-_LAST_WORDS:]

    def _kill(self) -> None:
        with self._lock, contextlib.suppress(ProcessLookupError, PermissionError):
            if not self._gone.is_set():
                os.killpg(self.pid, signal.SIGKILL)

    def kill(self) -> None:
        """End it now."""
        if os.getpid() == self._owner:
            self._ending = True
            self._kill()
            self._join()

    def close(self) -> None:
        """Tell it to end, and end it if it does not. Safe to call twice."""
        if os.getpid() != self._owner:
            return  # a forked child of ours: it is the parent's
        if not self._gone.is_set():
            self._ending = True
            self._tell({"type": "close"})
        self._join()

    def _join(self) -> None:
        if threading.current_thread() in self._threads.values():
            return  # a garbage collection may run anywhere; the child is buried when it goes on
        if not self._gone.wait(PATIENCE):
            self._kill()
        self._threads["watcher"].join()
        self._threads["listener"].join(1.0)  # held up only by what left the child's group

    def forget(self) -> None:
        """In a forked child of this process: let go of what belongs to the parent."""
        self._process.returncode = 0  # else it would be waited for, and is not this process's child
        if not self._gone.is_set():
            self._channel.forget()
            os.close(self._lifeline)


def _ended(status: int | None) -> str:
    if status is None:
        return "has ended"
    if status >= 0:
        return f"ended by itself (exit status {status})"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = str(-status)
    why = ": perhaps the system was out of memory" if -status == signal.SIGKILL else ""
    return f"was ended by a signal ({name}{why})"


def _forget_all() -> None:
    for worker in list(_living):
        worker.forget()


os.register_at_fork(after_in_child=_forget_all)
