"""What is piped into a command."""

import sys

from modelhub.errors import InvalidInput


def read_all(field: str) -> str:
    """The whole of standard input, without blanks at its ends.

    Raises:
        InvalidInput: about `field`, for bytes that are not text.
    """
    try:
        return sys.stdin.read().strip()
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"standard input is not {error.encoding} text: {error.reason} at byte {error.start}",
            hint="Convert it first, with iconv for one.",
            field=field,
        ) from error
