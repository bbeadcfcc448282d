import pytest

from modelhub.refs import ModelRef, RepoPath
from modelhub.registry.introspect.weight_names import plain_name, read_name, role_by_name


@pytest.mark.parametrize(
    ("path", "model", "folder", "tag", "precision"),
    [
        ("Qwen3-0.6B-Q8_0.gguf", "qwen3-0.6b", "", "q8_0", "q8_0"),
        ("llama-2-7b.Q4_K_M.gguf", "llama-2-7b", "", "q4_k_m", "q4_k_m"),
        ("model_q4_k_m.gguf", "model", "", "q4_k_m", "q4_k_m"),
        ("ggml-model-f16.gguf", "ggml-model", "", "f16", "fp16"),
        ("Model-BF16.GGUF", "model", "", "bf16", "bf16"),
        ("Model-bf16.Q5_K_S.gguf", "model-bf16", "", "q5_k_s", "q5_k_s"),
        ("Model.i1-IQ2_XXS.gguf", "model", "", "i1-iq2_xxs", "iq2_xxs"),
        ("Model-UD-IQ1_M.gguf", "model", "", "ud-iq1_m", "iq1_m"),
        ("Model-UD-Q4_K_XL.gguf", "model", "", "ud-q4_k_xl", "q4_k"),
        ("Model-UD-Q8_K_XL.gguf", "model", "", "ud-q8_k_xl", "q8_0"),
        ("Model-Q4_K_M-imat.gguf", "model", "", "imat-q4_k_m", "q4_k_m"),
        ("Model-imatrix-Q4_K_S.gguf", "model", "", "imatrix-q4_k_s", "q4_k_s"),
        ("Model-Q6_K_L.gguf", "model", "", "q6_k_l", "q6_k_l"),
        ("Model-Q4_0_4_4.gguf", "model", "", "q4_0_4_4", "q4_0"),
        ("Model-IQ4_NL.gguf", "model", "", "iq4_nl", "iq4_nl"),
        ("bitnet-b1.58-TQ2_0.gguf", "bitnet-b1.58", "", "tq2_0", "tq2_0"),
        ("gpt-oss-20b-mxfp4.gguf", "gpt-oss-20b", "", "mxfp4", "mxfp4"),
        ("gpt-oss-20b-MXFP4_MOE.gguf", "gpt-oss-20b", "", "mxfp4_moe", "mxfp4"),
        ("Phi-3-mini-4k-instruct-q4.gguf", "phi-3-mini-4k-instruct", "", "q4", None),
        ("model.gguf", "model", "", "", None),
        ("Q4_K_M.gguf", "", "", "q4_k_m", "q4_k_m"),
        ("Q4_K_M/model.gguf", "model", "", "q4_k_m", "q4_k_m"),
        ("UD-Q2_K_XL/Model-UD-Q2_K_XL.gguf", "model", "", "ud-q2_k_xl", "q2_k"),
        ("Big-Q8_0/Big-Q8_0.gguf", "big", "", "q8_0", "q8_0"),
        ("gguf/Q8_0/Big-Q8_0.gguf", "big", "gguf", "q8_0", "q8_0"),
        ("big/Big-Q8_0.gguf", "big", "", "q8_0", "q8_0"),
        ("small/model-q4_0.gguf", "model", "small", "q4_0", "q4_0"),
        ("Other-Q8_0/Big-Q4_0.gguf", "big", "other-q8_0", "q4_0", "q4_0"),
        ("qwen2.5-0.5b.gguf", "qwen2.5-0.5b", "", "", None),
        ("x264-video.gguf", "x264-video", "", "", None),
    ],
)
def test_what_a_name_says(path, model, folder, tag, precision):
    name = read_name(RepoPath(path))
    assert (name.model, name.folder, name.tag, name.precision) == (model, folder, tag, precision)
    assert (name.shard, name.shards) == (1, 1)


@pytest.mark.parametrize(
    ("path", "exact", "marked"),
    [
        ("m-Q4_K_M.gguf", True, False),
        ("m-f16.gguf", True, False),
        ("m.i1-Q4_K_M.gguf", True, True),
        ("m-UD-Q4_K_XL.gguf", False, True),
        ("m-Q3_K_XL.gguf", False, False),
        ("m-q4.gguf", False, False),
        ("m.gguf", False, False),
    ],
)
def test_whether_a_precision_is_exact(path, exact, marked):
    name = read_name(RepoPath(path))
    assert (name.exact, name.marked) == (exact, marked)


def test_shards_of_one_file_are_one_series():
    first, second, other, whole = (
        read_name(RepoPath(path))
        for path in (
            "a/M-Q8_0-00001-of-00002.gguf",
            "a/M-Q8_0-00002-of-00002.gguf",
            "a/M-Q8_0-00001-of-00003.gguf",
            "a/M-Q8_0.gguf",
        )
    )
    assert (first.shard, first.shards, second.shard, second.shards) == (1, 2, 2, 2)
    assert first.series == second.series
    assert len({first.series, other.series, whole.series}) == 3
    assert first.model == whole.model == "m"


def test_shards_of_none_are_no_shards():
    assert read_name(RepoPath("m-q8_0-00001-of-00000.gguf")).shards == 1


@pytest.mark.parametrize(
    ("path", "role"),
    [
        ("mmproj-F16.gguf", "projector"),
        ("mmproj-model-f16.gguf", "projector"),
        ("gemma-3-4b-it-mmproj-f16.gguf", "projector"),
        ("imatrix.gguf", "importance matrix"),
        ("Model-imatrix.gguf", "importance matrix"),
        ("Model.imatrix.gguf", "importance matrix"),
        ("ggml-vocab-llama-bpe.gguf", "vocabulary"),
        ("Model-imatrix-Q4_K_S.gguf", None),
        ("Model-Q4_K_S.gguf", None),
        ("imatrixed-model.gguf", None),
    ],
)
def test_files_that_are_no_models(path, role):
    assert role_by_name(RepoPath(path)) == role


@pytest.mark.parametrize(
    "text", ["Model", "a b/c", "Ünï¢ode (v2)", "--x--", "a" * 200, "x" * 95 + "-y", "模型-7b"]
)
def test_a_plain_name_can_be_a_tag(text):
    name = plain_name(text)
    assert ModelRef.parse(f"zoo/m:{name}").tags == (name,)
    assert plain_name(name) == name
