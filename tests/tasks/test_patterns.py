"""Patterns of callers: what is taken, and the automaton that engines are given."""

import warnings
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.runtimes.testing import LIVENESS
from modelhub.tasks.automaton import automaton
from modelhub.tasks.patterns import MAX_PATTERN, compiled, pattern_problem
from modelhub.tasks.schema import check_schema


def takes(pattern, text, least=0, most=None):
    """Whether the automaton does."""
    states = automaton(pattern, least, most)
    if not states:
        return False
    state = states[0]
    for letter in text:
        ways = [
            to for ranges, to in state.ways if any(low <= ord(letter) <= high for low, high in ranges)
        ]
        if not ways:
            return False
        (to,) = ways
        state = states[to]
    return state.ends


@pytest.mark.parametrize(
    "pattern",
    [
        "^a+$",
        "^[ab]+$",
        r"^\(a+\)+$",
        "^[(a+)]+$",
        "^(?:ab){2}$",
        "^[]a]$",
        "^a{2,3}b*$",
        "^(a?b)*$",
        "^(a?){0,1}(b*)?$",
        "^(a|a|ab)+$",
        "^é+$",
        r"^\\$",
        "^a{,3}$",
        "^(a{1,10}){1,10}$",
    ],
)
def test_patterns_that_are_taken(pattern):
    assert pattern_problem(pattern) == ""


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("^(a+)+b$", "repeats what repeats"),
        ("^((a{2,})b)*$", "repeats what repeats"),
        ("^(a+){2,}$", "repeats what repeats"),
        ("^(?:x(y*))*$", "repeats what repeats"),
        ("^((a?){0,30}){0,30}$", "repeats what may be empty"),
        ("^(((a?){0,9}){0,9}){0,9}$", "repeats what may be empty"),
        ("^()*$", "repeats what may be empty"),
        ("^(|a)+$", "repeats what may be empty"),
        ("^(a*b*){2}$", "repeats what may be empty"),
        ("a+", "must begin with ^"),
        (r"^a\$", "must begin with ^"),
        ("^a|b$", "put a group around them"),
        (r"^(a)\1$", "RE2 does not take it"),
        ("^(?=a)a$", "RE2 does not take it"),
        ("^[a$", "RE2 does not take it"),
        ("^" + "a" * MAX_PATTERN + "$", "at most 256"),
        ("^a{100000}$", "RE2 does not take it"),
        ("^[[:alpha:]]$", "a class by its name"),
        ("^[x[:^alpha:]]$", "a class by its name"),
        (r"^\pL$", "not read alike"),
        (r"^a\bc$", "not read alike"),
        (r"^[\x41]$", "not read alike"),
        ("^(?i)a$", "a group with flags"),
        ("^a^b$", "^ stands inside it"),
        ("^(a$)$", "$ stands inside it"),
        ("^" + "(" * 40 + "a" + ")" * 40 + "$", "nested deeper than 32"),
        ("^\x01$", "no text fits it"),
        ("^.*a.{20}$", "too many ways"),
        ("^" + "(a{500}|b{500})" * 9 + "$", "too long once its repeats are written out"),
    ],
)
def test_patterns_that_are_not(pattern, says):
    assert says in pattern_problem(pattern)


@given(st.text("ab()[]{}*+?|\\^$,0123456789", max_size=12))
def test_any_text_is_a_pattern_or_is_told_why_not(text):
    pattern_problem(f"^{text}$")


def test_nothing_is_said_by_the_way():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="a class by its name"):
            check_schema({"pattern": "^[[:alpha:]]$"})
        check_schema({"pattern": "^[[a]$"})


@pytest.mark.parametrize(
    "pattern",
    [
        "^[a-z]{1,1000}$",
        "^(a{1,30}){1,30}$",
        "^([a-z]{1,20}[a-z]{1,20}){1,25}$",
        "^(([a-z]{1,10}){1,10}){1,10}$",
        "^.*a.{11}$",
        "^" + "a?" * 120 + "$",
        "^" + "a*" * 120 + "$",
        "^" + "(.{0,9}|a.{0,9})" * 15 + "$",
    ],
)
def test_no_pattern_takes_long(pattern):
    begin = perf_counter()
    pattern_problem(pattern)
    assert perf_counter() - begin < LIVENESS


# The automaton

atoms = st.sampled_from(["a", "b", "[ab]", "[^a]", "[a-c-]", ".", r"\w", r"\S", r"\.", "é"])
counts = st.sampled_from(["*", "+", "?", "{2}", "{0,2}", "{1,}", "{1,3}?", "{0}"])
pieces = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map("(?:{0[0]}|{0[1]})".format),
        inner.map("(|{})".format),
        st.tuples(inner, counts).map("({0[0]}){0[1]}".format),
    ),
    max_leaves=8,
)


@given(pieces, st.text("abc.é -", max_size=6), st.integers(0, 3), st.none() | st.integers(0, 4))
def test_it_takes_what_re2_takes(piece, text, least, most):
    pattern = f"^(?:{piece})$"
    found = takes(pattern, text, least, most)
    counted = least <= len(text) and (most is None or len(text) <= most)
    assert found == (counted and bool(compiled(pattern).search(text)))
