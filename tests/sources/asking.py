"""Asking a transport, and emptying what it gives."""

import pytest

from modelhub.errors import ModelHubError
from modelhub.sources.transport import Address, Request

SECRET = "hf_canary0123456789canary0123456789ca"
PRIVATE = {"Authorization": f"Bearer {SECRET}", "X-Custom": SECRET}


def request(url, headers=PRIVATE, **more):
    return Request(Address.parse(url), headers, secrets=(SECRET,), **more)


def drain(stream, size=10_000):
    buffer, data = memoryview(bytearray(size)), bytearray()
    with stream:
        while count := stream.readinto(buffer):
            data += buffer[:count]
    return bytes(data)


def errors_of(call):
    with pytest.raises(ModelHubError) as caught:
        call()
    return caught
