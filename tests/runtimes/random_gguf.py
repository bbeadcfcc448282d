"""A Llama GGUF with random weights: it babbles ASCII and never ends, as slowly as it is large."""

from pathlib import Path

import gguf
import numpy as np

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
FEED_FORWARD = 1024
HEADS, KV_HEADS = 8, 4


def write_random_gguf(
    path: Path,
    *,
    context: int,
    hidden: int = 256,
    layers: int = 2,
    architecture: str = "llama",
    pooling: gguf.PoolingType | None = None,
    begins: bool = False,
    template: str | None = None,
    **numbers: int,
) -> Path:
    """The file, made; seeded, so it is the same each time. A token is a byte.

    With `pooling` it is an embedder; with `begins` its tokenizer puts a token before each text. `numbers`
    are hyperparameters that are written besides.
    """
    writer = gguf.GGUFWriter(path, architecture)
    _add_architecture(writer, context, hidden, layers)
    for name, number in numbers.items():
        writer.add_uint32(f"{architecture}.{name}", number)
    if pooling is not None:
        writer.add_pooling_type(pooling)
    add_tokenizer(writer, begins=begins)
    writer.add_chat_template(template or TEMPLATE)
    _add_tensors(writer, hidden, layers)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _add_architecture(writer: gguf.GGUFWriter, context: int, hidden: int, layers: int) -> None:
    writer.add_context_length(context)
    writer.add_embedding_length(hidden)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(hidden // HEADS)
    writer.add_vocab_size(len(SPECIAL) + 256)


def add_tokenizer(writer: gguf.GGUFWriter, *, begins: bool) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([*SPECIAL, *_byte_letters()])
    writer.add_token_types([gguf.TokenType.CONTROL] * len(SPECIAL) + [gguf.TokenType.NORMAL] * 256)
    writer.add_token_merges(["Ġ a"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(begins)


def _byte_letters() -> list[str]:
    """GPT-2's letter for each byte: itself where it prints, else one from 256 on."""
    prints = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = iter(range(256, 512))
    return [chr(byte if byte in prints else next(rest)) for byte in range(256)]


def _add_tensors(writer: gguf.GGUFWriter, hidden: int, layers: int) -> None:
    random = np.random.default_rng(7)

    def add(name: str, rows: int, columns: int, scale: float = 0.1) -> None:
        writer.add_tensor(name, (random.standard_normal((rows, columns), dtype=np.float32) * scale))

    def add_ones(name: str) -> None:
        writer.add_tensor(name, np.ones(hidden, dtype=np.float32))

    embedding = random.standard_normal((len(SPECIAL) + 256, hidden), dtype=np.float32)
    # Rows that are zero are never the likeliest: no special token, no control byte, ASCII alone.
    embedding[: len(SPECIAL) + 33] = embedding[len(SPECIAL) + 127 :] = 0
    writer.add_tensor("token_embd.weight", embedding)
    add_ones("output_norm.weight")
    narrow = hidden * KV_HEADS // HEADS
    for layer in range(layers):
        prefix = f"blk.{layer}."
        add_ones(prefix + "attn_norm.weight")
        add_ones(prefix + "ffn_norm.weight")
        add(prefix + "attn_q.weight", hidden, hidden)
        add(prefix + "attn_k.weight", narrow, hidden)
        add(prefix + "attn_v.weight", narrow, hidden)
        add(prefix + "attn_output.weight", hidden, hidden)
        add(prefix + "ffn_gate.weight", FEED_FORWARD, hidden)
        add(prefix + "ffn_up.weight", FEED_FORWARD, hidden)
        add(prefix + "ffn_down.weight", hidden, FEED_FORWARD)
