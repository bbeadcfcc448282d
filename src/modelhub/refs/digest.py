"""The name of some bytes: their SHA-256."""

import re
from hashlib import sha256
from typing import Self

from modelhub.errors import InvalidInput
from modelhub.refs._pydantic import CheckedStr

_HEX = re.compile(r"[0-9a-f]{64}\Z")


class Digest(CheckedStr):
    """A SHA-256 as 64 lower-case hexadecimal digits.

    Nothing else may become a file name in the store, so nothing else can be a `Digest`.

    Raises:
        InvalidInput: for any other text.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        # Callers without a type checker may pass anything.
        given: object = text
        if not isinstance(given, str) or not _HEX.match(given):
            raise InvalidInput(
                f"not a sha256 digest: {text!r:.80}",
                hint="A digest is 64 lower-case hexadecimal digits.",
                field="digest",
            )
        return super().__new__(cls, text)

    @classmethod
    def of(cls, data: bytes | bytearray | memoryview) -> "Digest":
        """The digest of `data`."""
        return cls(sha256(data).hexdigest())

    @property
    def short(self) -> str:
        """The first twelve digits, for people."""
        return self[:12]
