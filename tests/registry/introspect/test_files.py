import pytest

from modelhub.facts import FileKind
from modelhub.refs import RepoPath
from modelhub.registry.introspect import classify, metadata_wanted
from modelhub.registry.introspect.files import MAX_FILE, MAX_FILES, MAX_TOTAL

from .build import listing


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("README.md", FileKind.CARD),
        ("LICENSE", FileKind.CARD),
        ("LICENSE.txt", FileKind.CARD),
        ("USE_POLICY.md", FileKind.CARD),
        ("config.json", FileKind.CONFIG),
        ("vae/config.json", FileKind.CONFIG),
        ("generation_config.json", FileKind.CONFIG),
        ("scheduler/scheduler_config.json", FileKind.CONFIG),
        ("preprocessor_config.json", FileKind.CONFIG),
        ("1_Pooling/config.json", FileKind.CONFIG),
        ("modules.json", FileKind.CONFIG),
        ("config_sentence_transformers.json", FileKind.CONFIG),
        ("model_index.json", FileKind.METADATA),
        ("modular_model_index.json", FileKind.METADATA),
        ("model.safetensors.index.json", FileKind.METADATA),
        ("text_encoder/diffusion_pytorch_model.safetensors.index.fp16.json", FileKind.METADATA),
        ("tokenizer.json", FileKind.TOKENIZER),
        ("tokenizer_config.json", FileKind.TOKENIZER),
        ("tokenizer/spiece.model", FileKind.TOKENIZER),
        ("chat_template.jinja", FileKind.TOKENIZER),
        ("additional_chat_templates/tool_use.jinja", FileKind.TOKENIZER),
        ("merges.txt", FileKind.TOKENIZER),
        ("model.safetensors", FileKind.MODEL),
        ("Model-Q4_K_M.GGUF", FileKind.MODEL),
        ("pytorch_model.bin", FileKind.MODEL),
        ("onnx/model.onnx", FileKind.MODEL),
        ("onnx/model.onnx_data", FileKind.MODEL),
        ("onnx/model.onnx_data_1", FileKind.MODEL),
        ("modeling_custom.py", FileKind.CODE),
        ("kernel.so", FileKind.CODE),
        (".gitattributes", FileKind.OTHER),
        ("assets/picture.png", FileKind.OTHER),
        ("notes.json", FileKind.OTHER),
    ],
)
def test_a_files_kind(path, kind):
    assert classify(RepoPath(path)) is kind


def test_what_is_read_at_sync():
    wanted = metadata_wanted(
        listing(
            [
                "config.json",
                "tokenizer_config.json",
                "chat_template.jinja",
                "model.safetensors.index.json",
                "README.md",
                "LICENSE",
                "vae/config.json",
                "model.safetensors",
                "tokenizer.json",
                "tokenizer.model",
                "vocab.txt",
                "modeling_custom.py",
                "evil_config.py",
                ".gitattributes",
            ]
        ).files
    )
    assert [file.path for file in wanted] == [
        "LICENSE",
        "README.md",
        "config.json",
        "chat_template.jinja",
        "tokenizer_config.json",
        "model.safetensors.index.json",
        "vae/config.json",
    ]


def test_large_files_are_not_read():
    assert metadata_wanted(listing({"config.json": MAX_FILE + 1, "README.md": MAX_FILE}).files) == tuple(
        listing({"README.md": MAX_FILE}).files
    )


def test_all_together_stay_within_their_bounds():
    many = metadata_wanted(listing({f"part{n}/config.json": 10 for n in range(1000)}).files)
    assert len(many) == MAX_FILES
    large = metadata_wanted(
        listing({f"part{n}/config.json": MAX_FILE for n in range(10)} | {"config.json": 9}).files
    )
    assert sum(file.size for file in large) <= MAX_TOTAL
    assert large[0].path == "config.json"
    assert len(large) == 2
