"""How weights are packed: as configurations say it, and counted where the method says how."""

import json
import re

import pytest

from modelhub.formats import RangeReader, read_safetensors
from tests.formats.build import safetensors

from .found import codes, only_model, said
from .repos import CHAT, LLAMA, find, header

BITS = {
    "F32": 32,
    "BF16": 16,
    "F16": 16,
    "I64": 64,
    "I32": 32,
    "U32": 32,
    "I8": 8,
    "U8": 8,
    "F8_E4M3": 8,
}


def tensors(**shapes):
    """A header with these tensors; `__` in a name is a dot, but in bitsandbytes' own, and a value is `(dtype, *shape)`."""
    entries, at = {}, 0
    for name, (dtype, *shape) in shapes.items():
        size = BITS[dtype] // 8
        for extent in shape:
            size *= extent
        entries[re.sub("__(?!nf4)", ".", name)] = {
            "dtype": dtype,
            "shape": shape,
            "data_offsets": [at, at + size],
        }
        at += size
    return read_safetensors(RangeReader.from_bytes(safetensors(json.dumps(entries).encode(), at)))


def packed(settings, weights=None, **files):
    weights = weights or header("I32", BF16=10)
    config = LLAMA | ({"quantization_config": settings} if settings else {})
    return find(CHAT | {"config.json": config, "model.safetensors": weights} | files)


def groups(*weights):
    return {"config_groups": {f"group_{n}": {"weights": each} for n, each in enumerate(weights)}}


INT4, INT8 = {"num_bits": 4, "type": "int"}, {"num_bits": 8, "type": "int"}
FP8 = {"num_bits": 8, "type": "float"}
CT = {"quant_method": "compressed-tensors"}
TORCHAO = {"quant_method": "torchao"}


@pytest.mark.parametrize(
    ("settings", "precision", "bits", "layout"),
    [
        ({"quant_method": "gptq", "bits": 4, "checkpoint_format": "gptq"}, "int4", 4, "gptq"),
        ({"quant_method": "gptq", "bits": 3}, "int3", 3, None),
        ({"quant_method": "exl3", "bits": 4.05}, "int4", None, None),
        ({"quant_method": "exl2", "bits": 2.25}, "int2", None, None),
        ({"quant_method": "awq", "w_bit": 4, "version": "gemm"}, "int4", 4, "gemm"),
        ({"quant_method": "auto-round", "bits": 2}, "int2", 2, None),
        ({"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}, "int4", 4, "nf4"),
        ({"load_in_4bit": True, "bnb_4bit_quant_type": "fp4"}, "fp4", 4, "fp4"),
        ({"load_in_8bit": True, "load_in_4bit": False}, "int8", 8, None),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8", 8, None),
        ({"quant_method": "fbgemm_fp8"}, "fp8", 8, None),
        (CT | groups(INT4) | {"format": "pack-quantized"}, "int4", 4, "pack-quantized"),
        (CT | groups(INT8) | {"format": "int-quantized"}, "int8", 8, "int-quantized"),
        (CT | groups(FP8) | {"format": "float-quantized"}, "fp8", 8, "float-quantized"),
        (CT | groups(INT8, INT4), "int4", None, None),
        (
            CT | groups({"num_bits": 4, "type": "float"}) | {"format": "nvfp4-pack-quantized"},
            "nvfp4",
            4,
            "nvfp4-pack-quantized",
        ),
        (
            {"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4}}},
            "int4",
            4,
            None,
        ),
        ({"quant_method": "aqlm", "nbits_per_codebook": 16, "in_group_size": 8}, "int2", None, None),
        ({"quant_method": "quanto", "weights": "float8"}, "fp8", 8, None),
        ({"quant_method": "quanto", "weights": "int2"}, "int2", 2, None),
        ({"quant_method": "eetq"}, "int8", 8, None),
        (TORCHAO | {"quant_type": "int4_weight_only"}, "int4", 4, "int4_weight_only"),
        (
            TORCHAO | {"quant_type": {"default": {"_type": "Int8DynamicActivationInt4WeightConfig"}}},
            "int4",
            4,
            "Int8DynamicActivationInt4WeightConfig",
        ),
        (TORCHAO | {"quant_type": {"default": {"_type": "Float8WeightOnlyConfig"}}}, "fp8", 8, ...),
        ({"quant_method": "mxfp4"}, "mxfp4", 4, None),
        ({"quant_method": "nvfp4"}, "nvfp4", 4, None),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "nvfp4", 4, "NVFP4"),
        ({"quant_method": "modelopt", "quant_algo": "W4A16_AWQ"}, "int4", 4, "W4A16_AWQ"),
        ({"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION"}, None, None, "MIXED_PRECISION"),
        ({"quant_method": "bitnet"}, "int2", 2, None),
        ({"quant_method": "higgs", "bits": 4}, "int4", 4, None),
        ({"quant_method": "spqr", "bits": 3}, "int3", 3, None),
        ({"quant_method": "fp_quant", "forward_dtype": "mxfp4"}, "mxfp4", 4, "mxfp4"),
        (
            {"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp8_e4m3"}}},
            "fp8",
            8,
            ...,
        ),
        ({"quant_method": "vptq", "config_for_layers": {}}, None, None, None),
        ({"quant_method": "something", "bits": 4}, "int4", 4, None),
    ],
)
def test_each_method_says_it_its_own_way(settings, precision, bits, layout):
    found = packed(settings)
    model = only_model(found)
    (variant,) = model.variants
    assert (variant.precision, model.details.get("quantization_bits")) == (precision, bits)
    assert layout in (..., model.details.get("quantization_layout"))
    if precision:
        assert said(found, f"variant:tiny-chat:{precision}", "precision") == {precision: 80}
    assert codes(found) == []


@pytest.mark.parametrize(
    ("settings", "weights", "parameters"),
    [
        (
            {"quant_method": "gptq", "bits": 4},
            tensors(
                a__qweight=("I32", 16, 64),  # 128 × 64 in words of eight
                a__qzeros=("I32", 1, 8),
                a__scales=("F16", 1, 64),
                a__g_idx=("I32", 128),
                a__bias=("F16", 64),
                norm__weight=("F16", 128),
            ),
            128 * 64 + 64 + 128,
        ),
        (
            {"quant_method": "gptq", "bits": 3},
            tensors(a__qweight=("I32", 12, 64), a__qzeros=("I32", 1, 6), a__scales=("F16", 1, 64)),
            128 * 64,
        ),
        (
            {"quant_method": "awq", "bits": 4},
            tensors(a__qweight=("I32", 128, 8), a__qzeros=("I32", 1, 8), a__scales=("F16", 1, 64)),
            128 * 64,
        ),
        (
            {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
            tensors(
                a__weight=("U8", 4096, 1),
                a__weight__absmax=("U8", 128),
                a__weight__quant_map=("F32", 16),
                a__weight__nested_absmax=("F32", 1),
                a__weight__nested_quant_map=("F32", 256),
                a__weight__quant_state__bitsandbytes__nf4=("U8", 90),
                norm__weight=("BF16", 64),
            ),
            128 * 64 + 64,
        ),
        (
            {"load_in_8bit": True},
            tensors(a__weight=("I8", 128, 64), a__SCB=("F32", 128), a__weight_format=("U8", 1)),
            128 * 64,
        ),
        (
            {"quant_method": "fp8"},
            tensors(a__weight=("F8_E4M3", 128, 64), a__weight_scale_inv=("F32", 1, 1)),
            128 * 64,
        ),
        (
            CT | groups(INT4),
            tensors(
                a__weight_packed=("I32", 128, 8),
                a__weight_scale=("BF16", 128, 1),
                a__weight_shape=("I64", 2),
            ),
            128 * 64,
        ),
        (
            {"quant_method": "modelopt", "quant_algo": "NVFP4"},
            tensors(
                a__weight=("U8", 128, 32),
                a__weight_scale=("F8_E4M3", 128, 4),
                a__weight_scale_2=("F32",),
                a__input_scale=("F32",),
            ),
            128 * 64,
        ),
        (
            {"quant_method": "mxfp4"},
            tensors(
                mlp__down_proj_blocks=("U8", 2, 64, 4, 16),
                mlp__down_proj_scales=("U8", 2, 64, 4),
                mlp__down_proj_bias=("BF16", 2, 64),
            ),
            2 * 64 * 128 + 128,
        ),
    ],
)
def test_packed_numbers_are_counted_as_what_they_stand_for(settings, weights, parameters):
    model = only_model(packed(settings, weights))
    assert (model.parameters, model.variants[0].parameters) == (parameters, parameters)


@pytest.mark.parametrize(
    ("settings", "weights"),
    [
        ({"quant_method": "hqq"}, tensors(a__W_q=("U8", 128, 32))),
        ({"quant_method": "gptq", "bits": 4}, tensors(a__somethin=("I32", 16, 64))),
        ({"quant_method": "gptq"}, tensors(a__qweight=("I32", 16, 64))),
        ({"quant_method": "gptq", "bits": 3}, tensors(a__qweight=("I32", 1, 1))),
        (
            {"quant_method": "gptq", "bits": 4, "dynamic": {"a": {"bits": 8}}},
            tensors(a__qweight=("I32", 8)),
        ),
        (CT | groups(INT4, INT8), tensors(a__weight_packed=("I32", 128, 8))),
    ],
)
def test_what_cannot_be_counted_is_not_guessed(settings, weights):
    assert only_model(packed(settings, weights)).parameters is None


@pytest.mark.parametrize(
    ("name", "value", "method", "precision"),
    [
        ("quantize_config.json", {"bits": 4, "group_size": 128}, "gptq", "int4"),
        ("hf_quant_config.json", {"quantization": {"quant_algo": "FP8"}}, "modelopt", "fp8"),
    ],
)
def test_files_of_their_own(name, value, method, precision):
    model = only_model(packed(None, **{name: value}))
    assert (model.details["quantization"], model.variants[0].precision) == (method, precision)


@pytest.mark.parametrize(
    "settings",
    [
        {"quant_method": 5},
        {"quant_method": "compressed-tensors", "config_groups": {"a": 5}},
        {"quant_method": "compressed-tensors", "config_groups": {"a": {"weights": {"num_bits": -4}}}},
        {"quant_method": "hqq", "quant_config": []},
        {"quant_method": "gptq", "bits": 1 << 70},
        {"quant_method": "gptq", "bits": "4"},
        {"quant_method": "bitsandbytes", "load_in_4bit": "yes"},
    ],
)
def test_settings_that_are_none_are_passed_over_and_told(settings):
    found = packed(settings)
    assert only_model(found).variants[0].parameters is None
    assert "metadata.damaged" in codes(found)


@pytest.mark.parametrize(
    "settings",
    [
        TORCHAO | {"quant_type": {"default": {"_type": "x" * 500}}},
        TORCHAO | {"quant_type": [{}]},
        {"quant_method": "quark", "global_quant_config": {"weight": [5]}},
        {"quant_method": "aqlm", "in_group_size": 0, "num_codebooks": 0},
    ],
)
def test_settings_that_say_nothing(settings):
    model = only_model(packed(settings))
    assert model.details["quantization"] == settings["quant_method"]
    assert "quantization_layout" not in model.details


MLX = {"group_size": 64, "bits": 4}


@pytest.mark.parametrize(
    "config", [{"quantization": MLX}, {"quantization": MLX, "quantization_config": MLX}]
)
def test_mlx_says_it_under_a_key_of_its_own(config):
    weights = tensors(
        a__weight=("U32", 128, 8),  # 128 × 64 in words of eight
        a__scales=("F16", 128, 1),
        a__biases=("F16", 128, 1),
        norm__weight=("F16", 64),
    )
    found = find(CHAT | {"config.json": LLAMA | config, "model.safetensors": weights})
    model = only_model(found)
    (variant,) = model.variants
    assert (variant.precision, variant.parameters) == ("int4", 128 * 64 + 64)
    assert (model.details["quantization"], model.details["quantization_bits"]) == ("mlx", 4)


def test_mlx_with_modules_of_their_own_has_no_one_number_of_bits():
    mixed = {"quantization": MLX | {"model.embed_tokens": {"group_size": 64, "bits": 8}}}
    weights = tensors(a__weight=("U32", 128, 8), a__scales=("F16", 128, 1))
    found = find(CHAT | {"config.json": LLAMA | mixed, "model.safetensors": weights})
    model = only_model(found)
    assert model.variants[0].parameters is None
    assert "quantization_bits" not in model.details
