import pytest

from modelhub.errors import FormatError
from modelhub.formats.plain_json import MAX_ITEMS, read_json


def test_a_value_is_read():
    assert read_json(b' {"a": [1, null, "\xc3\xa9"]} ', name="f") == {"a": [1, None, "é"]}
    assert read_json(b"[]", name="f") == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"{'a': 1}",
        b"{} {}",
        b'{"a": 1, "a": 2}',
        b'[{"b": {"a": 1, "a": 1}}]',
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        '{"a": 1}'.encode("utf-16"),
        b'{"a": "\xff"}',
        b"9" * 5000,
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"[" + b"[]," * (MAX_ITEMS // 2) + b"[]]",
        b"[" + b"0," * MAX_ITEMS + b"0]",
    ],
    ids=lambda data: f"{data[:12]!r} {len(data)}",
)
def test_what_is_no_plain_json_is_refused_by_name(data):
    with pytest.raises(FormatError, match=r"vae/config\.json") as caught:
        read_json(data, name="vae/config.json")
    assert caught.value.details["file"] == "vae/config.json"
    assert len(caught.value.message) < 400
