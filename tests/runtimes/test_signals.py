import ctypes
import os
import signal
import threading

import pytest

from modelhub.runtimes.signals import _current, _sigaction, kept_handlers


def ignore_in_c() -> None:
    libc = ctypes.CDLL(None)
    for number in (signal.SIGINT, signal.SIGTERM):
        libc.signal(int(number), ctypes.c_void_p(1))


def handler(number: int) -> bytes:
    """The address of a signal's handler, with which `struct sigaction` begins."""
    return _current(number).raw[: ctypes.sizeof(ctypes.c_void_p)]


def taken() -> bool:
    """Whether Ctrl-C is lost."""
    try:
        os.kill(os.getpid(), signal.SIGINT)
        signal.sigtimedwait([], 0.2)
    except KeyboardInterrupt:
        return False
    return True


@pytest.mark.parametrize("elsewhere", [False, True])
def test_handlers_taken_in_c_are_put_back(elsewhere: bool) -> None:
    before = [handler(number) for number in (signal.SIGINT, signal.SIGTERM)]
    seen = []

    def engine() -> None:
        with kept_handlers():
            ignore_in_c()
            seen.append(handler(signal.SIGINT) != before[0])

    if elsewhere:
        thread = threading.Thread(target=engine)
        thread.start()
        thread.join()
    else:
        engine()
    assert seen == [True]
    assert [handler(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert not taken()


def test_they_are_put_back_after_an_error_too() -> None:
    before = handler(signal.SIGTERM)

    def fail() -> None:
        with kept_handlers():
            ignore_in_c()
            raise RuntimeError("Failed to init server")

    with pytest.raises(RuntimeError):
        fail()
    assert handler(signal.SIGTERM) == before
    assert not taken()


def test_a_signal_that_does_not_exist() -> None:
    with pytest.raises(OSError, match="sigaction"):
        _sigaction(9999, None, None)
