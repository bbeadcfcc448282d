import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelhub.refs import Precision, canonical_tag
from modelhub.refs.precision import _ALIASES

SPELLINGS = [precision.value for precision in Precision] + list(_ALIASES)


@pytest.mark.parametrize("precision", Precision)
def test_each_spelling_of_a_precision_names_it(precision):
    spellings = [precision.value, *(alias for alias, name in _ALIASES.items() if name == precision)]
    for spelling in spellings:
        for written in (spelling, spelling.upper(), f" {spelling} ", f"torch.{spelling}"):
            assert Precision.parse(written) is precision
        assert canonical_tag(spelling.upper()) == precision.value
    assert Precision(str(precision)) is precision


def test_every_alias_names_a_precision_and_is_none_itself():
    values = {precision.value for precision in Precision}
    assert set(_ALIASES.values()) <= values
    assert not values & _ALIASES.keys()


@pytest.mark.parametrize(
    ("text", "precision"),
    [
        ("F16", Precision.FP16),
        ("f32", Precision.FP32),
        ("torch.bfloat16", Precision.BF16),
        ("half", Precision.FP16),
        ("Q4_K_M", Precision.Q4_K_M),
        ("Q6_K_L", Precision.Q6_K_L),
        ("F8_E4M3", Precision.FP8),
        ("MXFP4_MOE", Precision.MXFP4),
        ("", None),
        ("q4", None),
        ("gguf", None),
        ("Q4-K-M", None),
        ("f17", None),
    ],
)
def test_parse(text, precision):
    assert Precision.parse(text) is precision


def test_quality_is_a_strict_order():
    qualities = [precision.quality for precision in Precision]
    assert qualities == sorted(set(qualities), reverse=True)
    assert min(qualities) > 0


@pytest.mark.parametrize(
    "order",
    [
        "fp32 bf16 fp16 q8_0 q6_k q5_k_m q5_k_s q4_k_m q4_k_s q4_0 q3_k_l q3_k_m q3_k_s q2_k iq2_xxs iq1_s",
        "fp16 fp8 fp4",
        "fp16 int8 int4 int3 int2",
        "q6_k_l q6_k q5_k_l q4_k_l q3_k_l q2_k_l",
        "iq4_nl iq4_xs iq3_m iq3_s iq3_xs iq3_xxs iq2_m iq2_s iq2_xs iq2_xxs iq1_m iq1_s",
    ],
)
def test_more_bits_are_better(order):
    qualities = [Precision(name).quality for name in order.split()]
    assert qualities == sorted(qualities, reverse=True)


@given(st.text(max_size=20) | st.sampled_from(SPELLINGS))
def test_a_canonical_tag_stays_itself(text):
    tag = canonical_tag(text)
    assert canonical_tag(tag) == tag
    assert Precision.parse(text) in (None, Precision.parse(tag))
