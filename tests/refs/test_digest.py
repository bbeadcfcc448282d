import hashlib
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub.errors import InvalidInput
from modelhub.refs import Digest

ZEROS = "0" * 64


@given(st.binary(max_size=100))
def test_of_bytes(data):
    digest = Digest.of(data)
    assert (
        digest
        == hashlib.sha256(data).hexdigest()
        == Digest.of(bytearray(data))
        == Digest.of(memoryview(data))
    )
    assert Digest(digest) == digest
    assert digest.startswith(digest.short)
    assert len(digest.short) == 12
    again = pickle.loads(pickle.dumps(digest))
    assert (again, type(again)) == (digest, Digest)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ZEROS[1:],
        ZEROS + "0",
        ZEROS[1:] + "A",
        ZEROS[1:] + "g",
        ZEROS + "\n",
        " " + ZEROS[1:],
        ZEROS[1:] + "٣",
        "../" + ZEROS[3:],
        "sha256:" + ZEROS,
        None,
        7,
        ZEROS.encode(),
    ],
)
def test_nothing_else_is_a_digest(text):
    with pytest.raises(InvalidInput) as caught:
        Digest(text)
    assert caught.value.details == {"field": "digest"}


@settings(deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_refused_or_64_digits(text):
    try:
        digest = Digest(text)
    except InvalidInput:
        return
    assert len(digest) == 64
    assert set(digest) <= set("0123456789abcdef")
