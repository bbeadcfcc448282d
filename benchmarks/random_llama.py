"""Writes a GGUF with random weights in the shape of a small Llama, about 300M parameters, q8_0.

Not a model of anything: it writes plain words for ever and never ends by itself, so that two
engines given the same number of tokens do the same work.
"""

import itertools
import string
from pathlib import Path

import gguf
import numpy as np

LAYERS, HIDDEN, HEADS, KV_HEADS, FEED_FORWARD, VOCABULARY = 24, 1024, 16, 8, 2816, 32_000
CONTEXT = 2048
TEMPLATE = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
BLOCK = np.dtype([("scale", np.float16), ("weights", np.int8, (32,))])


def write_random_llama(path: Path) -> None:
    """The file at `path`, complete or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    writer = gguf.GGUFWriter(part, "llama")
    metadata(writer)
    tensors(writer, np.random.default_rng(0))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    part.replace(path)


def metadata(writer: gguf.GGUFWriter) -> None:
    writer.add_name("random llama 300m")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_vocab_size(VOCABULARY)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    tokens, kinds = vocabulary()
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)


def vocabulary() -> tuple[list[str], list[int]]:
    """Two control tokens, the 256 bytes in GPT-2's spelling, and made-up words."""
    special = ["<|im_start|>", "<|im_end|>"]
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(others))]
    made_up = ("\u0120" + "".join(word) for word in itertools.product(string.ascii_lowercase, repeat=4))
    tokens = (
        special + letters + list(itertools.islice(made_up, VOCABULARY - len(special) - len(letters)))
    )
    kinds = [gguf.TokenType.CONTROL] * len(special) + [gguf.TokenType.NORMAL] * (
        len(tokens) - len(special)
    )
    return tokens, kinds


def tensors(writer: gguf.GGUFWriter, dice: np.random.Generator) -> None:
    head = HIDDEN // HEADS
    shapes = {
        "attn_q": (HIDDEN, HIDDEN),
        "attn_k": (KV_HEADS * head, HIDDEN),
        "attn_v": (KV_HEADS * head, HIDDEN),
        "attn_output": (HIDDEN, HIDDEN),
        "ffn_gate": (FEED_FORWARD, HIDDEN),
        "ffn_up": (FEED_FORWARD, HIDDEN),
        "ffn_down": (HIDDEN, FEED_FORWARD),
    }
    add(writer, "token_embd", random_blocks(dice, (VOCABULARY, HIDDEN)))
    output = random_blocks(dice, (VOCABULARY, HIDDEN))
    output["scale"][:258] = 0  # control tokens and lone bytes are never the likeliest
    add(writer, "output", output)
    writer.add_tensor("output_norm.weight", np.ones(HIDDEN, np.float32))
    for layer in range(LAYERS):
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.ones(HIDDEN, np.float32))
        for name, shape in shapes.items():
            add(writer, f"blk.{layer}.{name}", random_blocks(dice, shape))


def random_blocks(dice: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Q8_0 blocks (a half-precision scale, then 32 signed bytes) of small random weights."""
    rows, columns = shape
    blocks = np.zeros((rows, columns // 32), BLOCK)
    blocks["scale"] = 0.02 / 73
    blocks["weights"] = dice.integers(-127, 128, (rows, columns // 32, 32), np.int8)
    return blocks


def add(writer: gguf.GGUFWriter, name: str, blocks: np.ndarray) -> None:
    raw = blocks.view(np.uint8).reshape(blocks.shape[0], -1)
    writer.add_tensor(f"{name}.weight", raw, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
