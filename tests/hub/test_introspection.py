"""Repositories for transformers, end to end: known without their weights, and opened once pulled."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from modelhub.errors import FormatError, RuntimeNotFound, VariantNotFound
from modelhub.facts import SyncStatus
from tests.formats.build import safetensors
from tests.registry.introspect.repos import BERT, EMBEDDER
from tests.zoo.repos import build_chat, build_chat_gguf

CHAT, EMBED = "zoo/tiny-chat", "zoo/tiny-encoder"
WEIGHTS = ".safetensors"


@pytest.fixture
def chat(server, tmp_path) -> Path:
    folder = build_chat(tmp_path / "chat")
    server.add(CHAT, folder)
    return folder


def write(folder: Path, files: dict[str, object]) -> None:
    """JSON values as files; arrays as safetensors."""
    for path, value in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(value, np.ndarray):
            save_file({"weight": value}, folder / path, metadata={"format": "pt"})
        else:
            (folder / path).write_text(json.dumps(value))


def test_a_chat_repository_is_known_without_its_weights(hub, server, chat):
    report = hub.sync(CHAT)
    size = (chat / "model.safetensors").stat().st_size
    assert 0 < server.bytes_sent(WEIGHTS) <= 32 * 1024 < size
    assert server.bytes_sent("tokenizer.json") == 0
    assert report.warnings == ()
    (model,) = report.models
    assert (model.task, model.architecture, model.context_length) == ("text-generation", "llama", 1024)
    elements = sum(array.size for array in load_file(chat / "model.safetensors").values())
    assert model.parameters == elements
    assert model.details["chat_template"] == (chat / "chat_template.jinja").read_text()
    (variant,) = model.variants
    assert (variant.name, variant.format) == ("fp16", "safetensors")
    assert hub.inspect(CHAT) == report


def test_a_pulled_chat_repository_opens_as_it_is(hub, server, chat):
    pytest.importorskip("torch", reason="no PyTorch for this Python")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = hub.pull(CHAT).path
    assert {path.name for path in folder.iterdir()} == {
        path.name for path in chat.iterdir() if path.name != ".gitattributes"
    }
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    (known,) = hub.inspect(CHAT).models
    assert sum(parameter.numel() for parameter in model.parameters()) == known.parameters
    assert type(model).__name__ == known.details["model_class"]
    assert tokenizer.chat_template == known.details["chat_template"]


def test_each_precision_and_its_shards_are_pulled_alone(hub, server, chat):
    weights = load_file(chat / "model.safetensors")
    whole = {name: 2 * array.astype(np.float32) for name, array in weights.items()}
    names = sorted(whole)
    shards = {
        f"model.fp32-0000{n}-of-00002.safetensors": part
        for n, part in ((1, names[::2]), (2, names[1::2]))
    }
    for path, part in shards.items():
        save_file({name: whole[name] for name in part}, chat / path, metadata={"format": "pt"})
    index = {
        "metadata": {},
        "weight_map": {name: path for path, part in shards.items() for name in part},
    }
    (chat / "model.safetensors.index.fp32.json").write_text(json.dumps(index))
    server.push(CHAT, chat)
    (model,) = hub.sync(CHAT).models
    assert [(v.name, v.parameters) for v in model.variants] == [
        ("fp32", model.parameters),
        ("fp16", model.parameters),
    ]
    server.reset_counts()
    folder = hub.pull(f"{CHAT}:fp32").path
    assert server.bytes_sent("/model.safetensors") == 0
    assert {file.name for file in folder.glob("*.safetensors")} == set(shards)
    assert hub.pull(f"{CHAT}:fp16").path == folder
    with pytest.raises(VariantNotFound):
        hub.pull(f"{CHAT}:bf16")
    pytest.importorskip("torch", reason="no PyTorch for this Python")
    from transformers import AutoModelForCausalLM

    opened = AutoModelForCausalLM.from_pretrained(folder, variant="fp32", local_files_only=True)
    name = "model.embed_tokens.weight"
    np.testing.assert_array_equal(opened.get_parameter(name).detach().float().numpy(), whole[name])


DENSE = {
    "modules.json": [
        *EMBEDDER["modules.json"][:2],
        {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
    ],
    "1_Pooling/config.json": EMBEDDER["1_Pooling/config.json"],
    "2_Dense/config.json": {"in_features": 32, "out_features": 8, "bias": False},
    "2_Dense/model.safetensors": np.zeros((8, 32), np.float32),
    "sentence_bert_config.json": EMBEDDER["sentence_bert_config.json"],
    "config_sentence_transformers.json": EMBEDDER["config_sentence_transformers.json"],
}


def test_an_embedder_is_known_without_its_weights(hub, server, tmp_path):
    large = np.zeros((100_000, 2), np.float16)
    write(tmp_path / "e", DENSE | {"config.json": BERT, "model.safetensors": large})
    server.add(EMBED, tmp_path / "e")
    report = hub.inspect(EMBED)
    assert 0 < server.bytes_sent(WEIGHTS) <= 32 * 1024 < large.nbytes
    (model,) = report.models
    assert (model.task, model.parameters) == ("feature-extraction", 200_000)
    details = model.details
    assert (details["pooling"], details["normalize"], details["dimensions"]) == ("mean", False, 8)
    assert details["prompts"] == {"query": "query: ", "document": ""}
    snapshot = hub.pull(EMBED)
    assert {file.path for file in snapshot.files} == {*DENSE, "config.json", "model.safetensors"}
    assert (snapshot.path / "2_Dense" / "model.safetensors").is_file()


def test_a_pulled_embedder_opens_as_it_is(hub, server, tmp_path):
    torch = pytest.importorskip("torch", reason="no PyTorch for this Python")
    from transformers import AutoModel, AutoTokenizer, BertConfig, BertModel, BertTokenizerFast

    torch.manual_seed(0)
    folder = tmp_path / "e"
    made = BertModel(BertConfig(**{name: BERT[name] for name in BERT if name != "architectures"}))
    made.save_pretrained(folder)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "river", "stone"]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(vocab={word: n for n, word in enumerate(words)}).save_pretrained(folder)
    write(folder, DENSE)
    server.add(EMBED, folder)
    pulled = hub.pull(EMBED).path
    (known,) = hub.inspect(EMBED).models
    model = AutoModel.from_pretrained(pulled, local_files_only=True, use_safetensors=True)
    tokens = AutoTokenizer.from_pretrained(pulled, local_files_only=True)("river stone")["input_ids"]
    assert len(tokens) == 4
    assert json.loads((pulled / "modules.json").read_text()) == DENSE["modules.json"]
    learnt = sum(parameter.numel() for parameter in model.parameters())
    assert (known.parameters, known.details["embedding_length"]) == (learnt, model.config.hidden_size)


def test_a_local_folder_is_read_alike(hub, chat, server):
    (model,) = hub.inspect(str(chat)).models
    assert (model.task, model.parameters) == ("text-generation", hub.inspect(CHAT).models[0].parameters)
    assert model.details == hub.inspect(CHAT).models[0].details


def test_two_formats_of_one_model_are_pulled_apart(hub, server, chat):
    both = build_chat_gguf(shutil.copytree(chat, chat.with_name("both")))
    server.push(CHAT, both)
    (model,) = hub.sync(CHAT).models
    assert [(v.name, v.format) for v in model.variants] == [
        ("fp16", "safetensors"),
        ("gguf-fp16", "gguf"),
        ("q8_0", "gguf"),
        ("q4_k_m", "gguf"),
        ("q4_0", "gguf"),
    ]
    assert (hub.pull(f"{CHAT}:q4_0").path / "zoo-chat-q4_0.gguf").is_file()
    assert server.bytes_sent("/model.safetensors") <= 32 * 1024
    assert {v.variant for v in (hub.plan(f"{CHAT}:gguf-fp16"), hub.plan(f"{CHAT}:gguf"))} == {
        "gguf-fp16"
    }


def test_pickles_are_listed_and_not_fetched_to_be_planned(hub, server, chat):
    (chat / "model.safetensors").rename(chat / "pytorch_model.bin")
    server.push(CHAT, chat)
    report = hub.inspect(CHAT)
    assert [warning.code for warning in report.warnings] == ["format.pickle"]
    assert [v.format for v in report.models[0].variants] == ["pytorch"]
    assert server.bytes_sent(".bin") == 0
    plan = hub.plan(CHAT, task="chat")
    assert [warning.code for warning in plan.warnings] == ["format.pickle"]
    with pytest.raises(RuntimeNotFound):
        hub.chat(CHAT, "x", runtime="llama_server")
    assert server.bytes_sent(".bin") == 0


def test_what_strangers_write_is_kept_on_either_database(make_hub, server, chat, database_url):
    odd = shutil.copytree(chat, chat.with_name("odd"))
    (odd / "chat_template.jinja").unlink()
    write(odd, {"tokenizer_config.json": {"chat_template": "\0 \u202e\x1a {{ m }}"}})
    config = json.loads((chat / "config.json").read_text())
    odd_values = {"vocab_size": 1 << 53, "model_type": "\u202e", "num_attention_heads": 1 << 60}
    write(odd, {"config.json": config | odd_values})
    server.push(CHAT, odd)
    hub = make_hub(database=database_url)
    report = hub.sync(CHAT)
    assert hub.inspect(CHAT) == report
    (model,) = report.models
    assert model.details["chat_template"] == "\0 \u202e\x1a {{ m }}"
    assert (model.details["vocabulary_size"], model.architecture) == (1 << 53, None)
    assert {warning.code for warning in report.warnings} == {"metadata.damaged"}


def test_code_is_pulled_only_where_the_configuration_asks_for_it(hub, server, chat):
    (chat / "modeling_x.py").write_text("raise SystemExit")
    server.push(CHAT, chat)
    assert not (hub.pull(CHAT).path / "modeling_x.py").exists()
    config = json.loads((chat / "config.json").read_text())
    asking = shutil.copytree(chat, chat.with_name("asking"))
    write(asking, {"config.json": config | {"auto_map": {"AutoModelForCausalLM": "modeling_x.X"}}})
    server.push(CHAT, asking)
    report = hub.sync(CHAT)
    assert [warning.code for warning in report.warnings] == ["remote_code"]
    assert [part.name for part in report.models[0].variants[0].components] == [
        "model",
        "tokenizer",
        "code",
    ]
    assert (hub.pull(CHAT).path / "modeling_x.py").exists()


HEADERS = {
    "longer than the file": safetensors(b"{}", 8, length=1 << 20),
    "gigabytes": safetensors(b"{}", 8, length=1 << 40),
    "no json": safetensors(b"{{{{{{", 8),
    "a name twice": safetensors(
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        b'"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}',
        8,
    ),
    "a tensor beyond the file": safetensors(
        b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}', 8
    ),
    "too short": b"\x08\0",
    "a page": b"<!doctype html><html>you have been logged out</html>",
    "a pickle": b"\x80\x04\x95" + b"." * 100,
}


@pytest.mark.parametrize("damaged", HEADERS.values(), ids=HEADERS)
def test_weights_with_a_header_that_lies_are_refused_by_name(hub, server, chat, damaged):
    bad = shutil.copytree(chat, chat.with_name("bad"))
    (bad / "model.safetensors").write_bytes(damaged)
    server.push(CHAT, bad)
    with pytest.raises(FormatError, match=r"model\.safetensors"):
        hub.inspect(CHAT)
    assert [repo.sync_status for repo in hub.repos()] in ([], [SyncStatus.ERROR])


def test_an_index_that_leads_out_of_the_repository_is_not_followed(hub, server, chat):
    bad = shutil.copytree(chat, chat.with_name("bad"))
    (bad / "model.safetensors").unlink()
    write(bad, {"model.safetensors.index.json": {"weight_map": {"a": "../../outside.safetensors"}}})
    server.push(CHAT, bad)
    report = hub.inspect(CHAT)
    assert report.models == ()
    assert [warning.code for warning in report.warnings] == ["metadata.damaged"]
    assert "model.safetensors.index.json" in report.warnings[0].text


def test_a_damaged_precision_hides_no_other(hub, server, chat):
    bad = shutil.copytree(chat, chat.with_name("bad"))
    (bad / "model.fp32.safetensors").write_bytes(HEADERS["gigabytes"])
    server.push(CHAT, bad)
    report = hub.sync(CHAT)
    (warning,) = report.warnings
    assert (warning.code, warning.text.split(":")[0]) == ("header.damaged", "model.fp32.safetensors")
    assert [variant.name for variant in report.models[0].variants] == ["fp16"]
