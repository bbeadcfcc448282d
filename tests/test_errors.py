import copy
import json
import pickle
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelhub import errors
from modelhub.errors import ModelHubError, error_from_dict

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type)
    and issubclass(kind, ModelHubError)
    and kind.__module__.startswith(errors.__name__)
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda values: (
        st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3)
    ),
    max_leaves=5,
)


def tree(kind: type[ModelHubError]) -> set[type[ModelHubError]]:
    children = [child for child in kind.__subclasses__() if child.__module__.startswith(errors.__name__)]
    return {kind}.union(*map(tree, children))


def drawn() -> list[tuple[str, str | None]]:
    """The classes of the module docstring's tree, each with its parent there."""
    found: list[tuple[str, str | None]] = []
    above: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ((?:[│ ] {3})*(?:[├└]── )?)([A-Z]\w+)", line)
        if match:
            depth = len(match[1]) // 4
            above = [*(entry for entry in above if entry[0] < depth), (depth, match[2])]
            found.append((match[2], above[-2][1] if len(above) > 1 else None))
    return found


def test_every_class_is_listed_and_the_list_is_sorted():
    assert [*sorted(kind.__name__ for kind in KINDS), "error_from_dict"] == errors.__all__
    assert set(KINDS) == tree(ModelHubError)


def test_the_docstring_draws_the_tree():
    parents = {
        kind.__name__: next((b.__name__ for b in kind.__bases__ if b in KINDS), None) for kind in KINDS
    }
    assert dict(drawn()) == parents
    assert len(drawn()) == len(KINDS)


def test_codes_are_unique_and_each_class_has_its_own():
    codes = [kind.__dict__["code"] for kind in KINDS]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)


def check_same(error: ModelHubError, other: ModelHubError) -> None:
    assert type(other) is type(error)
    assert (other.message, other.hint, other.details) == (error.message, error.hint, error.details)
    assert str(other) == str(error)


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_survives_every_road(kind):
    error = kind("it broke", hint="mend it", field="model", count=3)
    check_same(error, error_from_dict(error.to_dict()))
    check_same(error, error_from_dict(json.loads(json.dumps(error.to_dict()))))
    check_same(error, copy.copy(error))
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        check_same(error, pickle.loads(pickle.dumps(error, protocol)))


@settings(deadline=None)
@given(
    st.sampled_from(KINDS),
    st.text(),
    st.text(),
    st.dictionaries(
        st.text(max_size=8) | st.sampled_from(["message", "hint", "self", "code"]), JSON, max_size=3
    ),
)
def test_whatever_it_says_comes_back(kind, message, hint, details):
    written = {"code": kind.code, "message": message, "hint": hint, "details": details}
    error = error_from_dict(written)
    assert type(error) is kind
    assert error.to_dict() == written
    check_same(error, pickle.loads(pickle.dumps(error)))


@pytest.mark.parametrize("kind", KINDS)
def test_how_it_prints(kind):
    assert str(kind("it broke")) == "it broke"
    assert str(kind("it broke", hint="mend it")) == "it broke\nmend it"
    assert repr(kind("it broke", hint="mend it")) == f"{kind.__name__}('it broke')"
    assert kind("x").to_dict() == {"code": kind.code, "message": "x", "hint": "", "details": {}}


def test_a_code_of_another_version_becomes_the_root():
    error = error_from_dict({"code": "from_the_future", "message": "m"})
    assert type(error) is ModelHubError
    assert (error.message, error.hint, error.details) == ("m", "", {})


def test_a_subclass_without_a_code_of_its_own_does_not_take_its_parents_place():
    class PluginError(errors.EngineError):
        pass

    assert type(error_from_dict(errors.EngineError("m").to_dict())) is errors.EngineError
    assert type(pickle.loads(pickle.dumps(PluginError("m")))) is errors.EngineError


def test_a_subclass_with_a_code_of_its_own_comes_back_as_itself():
    class OtherPluginError(errors.EngineError):
        code = "other_plugin"

    assert type(error_from_dict(OtherPluginError("m").to_dict())) is OtherPluginError


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        (errors.InvalidInput, ValueError),
        (errors.NotFound, LookupError),
        (errors.AccessDenied, PermissionError),
        (errors.FormatError, ValueError),
        (errors.SourceUnavailable, ConnectionError),
        (errors.DoesNotFit, MemoryError),
        (errors.DeadlineExceeded, TimeoutError),
    ],
)
def test_errors_are_also_what_python_calls_them(kind, base):
    with pytest.raises(base):
        raise kind("m")
