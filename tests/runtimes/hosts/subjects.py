"""Runtimes that a child of these tests loads."""

import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from modelhub.errors import InvalidInput
from modelhub.facts import Call, Device
from modelhub.runtimes import Bundle, Instance, Parts
from modelhub.tasks import Request
from tests.runtimes.fakes.tokens import TokensInstance, TokensRuntime


class SlowToLoad(TokensRuntime):
    """Takes a minute."""

    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        time.sleep(60)
        return super().load(bundle, device, options, parts)


class Crashing(TokensRuntime):
    """Ends its process in the middle of a load, with its last words on standard error."""

    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        sys.stderr.write("assertion failed: tensor != NULL\n")
        sys.stderr.flush()
        # As an engine does, in the thread that loads: a signal to the process may come to another one, later.
        signal.pthread_kill(threading.get_ident(), signal.SIGSEGV)
        return super().load(bundle, device, options, parts)


class Leaving(TokensRuntime):
    """Leaves the interpreter instead of loading."""

    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        raise SystemExit(3)


class NoInstance(TokensRuntime):
    def load(self, *_: Any) -> Any:
        return "a model"


class Lacking(TokensRuntime):
    requires = ("no_such_engine",)
    install = "pip install no-such-engine"


class Chattering(TokensRuntime):
    """Prints a lot, as engines do, and starts a program of its own."""

    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        sys.stdout.write("loading " * 100_000)
        sys.stderr.write("loading " * 100_000)
        return super().load(bundle, device, options, parts)


class WithChild(TokensRuntime):
    """Starts a process of its own, which does not think of ending."""

    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        if os.fork() == 0:
            time.sleep(600)
            os._exit(0)
        return super().load(bundle, device, options, parts)


class Locked(TokensRuntime):
    """Its instance holds the interpreter's lock while it answers, as a careless binding does."""

    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        return LockedInstance(0.0)


class LockedInstance(TokensInstance):
    def infer(self, request: Request, call: Call) -> Any:
        sys.setswitchinterval(1000)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            pass
        raise InvalidInput("nobody ended it")


class Interrupting(TokensRuntime):
    """Its instance raises what no engine should."""

    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        return InterruptingInstance(0.0)


class InterruptingInstance(TokensInstance):
    def infer(self, request: Request, call: Call) -> Any:
        raise KeyboardInterrupt

    def stream(self, request: Request, call: Call) -> Any:
        raise InvalidInput("it is odd", odd=object())


class Deaf(TokensRuntime):
    """Its instance does not look at its call while it answers."""

    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        return DeafInstance(0.0)


class DeafInstance(TokensInstance):
    def infer(self, request: Request, call: Call) -> Any:
        time.sleep(0 if call.remaining is None else 60)
        return super().infer(request, Call())


class Nonsense(TokensRuntime):
    """Writes into the socket of its process what is no message."""

    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        os.write(int(sys.argv[1]), b"abcd" * 8)
        time.sleep(60)
        return super().load(bundle, device, options, parts)


class Environment(TokensRuntime):
    """Refuses to load, and says what it sees around it."""

    def load(self, bundle: Bundle, device: Device, options: Mapping[str, Any], parts: Parts) -> Instance:
        seen = {
            "environment": sorted(os.environ),
            "session": os.getsid(0) == os.getpid(),
        }
        raise InvalidInput("it looked around", seen=seen)
