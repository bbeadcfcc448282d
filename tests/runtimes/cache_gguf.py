"""Tiny GGUFs of many architectures, zeros for weights: enough for llama.cpp to allocate their caches."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import gguf
import numpy as np

from tests.runtimes.random_gguf import SPECIAL, add_tokenizer

WIDTH, HEADS, FORWARD, CONTEXT = 64, 4, 96, 8192
VOCABULARY = len(SPECIAL) + 256
Shapes = Mapping[str, tuple[int, ...]]
"""By the name of a tensor, its shape as ggml writes it: the fastest dimension first."""


@dataclass(frozen=True)
class Tiny:
    """A model: its architecture, its numbers, the tensors of each layer, and those of none."""

    architecture: str
    layers: int
    numbers: Mapping[str, int | float | list[int] | list[bool]]
    shapes: Mapping[int, Shapes]
    others: Shapes = field(default_factory=lambda: {"output_norm.weight": (WIDTH,)})

    def write(self, path: Path) -> Path:
        writer = gguf.GGUFWriter(path, self.architecture)
        writer.add_context_length(CONTEXT)
        writer.add_embedding_length(WIDTH)
        writer.add_block_count(self.layers)
        if "feed_forward_length" not in self.numbers:
            writer.add_feed_forward_length(FORWARD)
        if "attention.head_count" not in self.numbers:
            writer.add_head_count(HEADS)
        writer.add_layer_norm_rms_eps(1e-5)
        writer.add_vocab_size(VOCABULARY)
        for name, value in self.numbers.items():
            _add(writer, f"{self.architecture}.{name}", value)
        add_tokenizer(writer, begins=False)
        for name, shape in self._tensors():
            writer.add_tensor(name, np.zeros(shape[::-1], np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path

    def _tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield "token_embd.weight", (WIDTH, VOCABULARY)
        yield from self.others.items()
        for layer, shapes in self.shapes.items():
            yield from ((f"blk.{layer}.{name}", shape) for name, shape in shapes.items())


def _add(writer: gguf.GGUFWriter, key: str, value: float | list[int] | list[bool]) -> None:
    if isinstance(value, list):
        writer.add_array(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    else:
        writer.add_uint32(key, value)


def norms(*names: str, width: int = WIDTH) -> Shapes:
    return {f"{name}.weight": (width,) for name in names}


def attention(keys: int, kv_heads: int, values: int | None = None) -> Shapes:
    values = keys if values is None else values
    return {
        "attn_q.weight": (WIDTH, keys * HEADS),
        "attn_k.weight": (WIDTH, keys * kv_heads),
        "attn_v.weight": (WIDTH, values * kv_heads),
        "attn_output.weight": (values * HEADS, WIDTH),
    }


FEED = {
    "ffn_gate.weight": (WIDTH, FORWARD),
    "ffn_up.weight": (WIDTH, FORWARD),
    "ffn_down.weight": (FORWARD, WIDTH),
}
PLAIN = norms("attn_norm", "ffn_norm") | FEED
ROUND = norms("post_attention_norm", "post_ffw_norm") | PLAIN


def every(layers: int, shapes: Shapes) -> dict[int, Shapes]:
    return dict.fromkeys(range(layers), shapes)


def heads(kv_heads: int | list[int], keys: int) -> dict[str, int | list[int]]:
    return {
        "attention.head_count_kv": kv_heads,
        "attention.key_length": keys,
        "attention.value_length": keys,
        "rope.dimension_count": keys,
    }


def gemma3(layers: int, **more: int) -> Tiny:
    shapes = ROUND | attention(32, 2) | norms("attn_q_norm", "attn_k_norm", width=32)
    return Tiny(
        "gemma3", layers, heads(2, 32) | {"attention.sliding_window": 512} | more, every(layers, shapes)
    )


def deepseek2(*, compressed: bool) -> Tiny:
    rank, rope, nope, values, queries = 32, 16, 16, 24, 48
    numbers = {
        "attention.q_lora_rank": queries,
        "attention.kv_lora_rank": rank,
        "rope.dimension_count": rope,
        "leading_dense_block_count": 3,
        "expert_feed_forward_length": FORWARD,
        "expert_shared_count": 1,
        "expert_weights_scale": 1.0,
        "rope.scaling.yarn_log_multiplier": 0.1,
    }
    shapes = PLAIN | {
        "attn_q_a.weight": (WIDTH, queries),
        "attn_q_a_norm.weight": (queries,),
        "attn_q_b.weight": (queries, HEADS * (nope + rope)),
        "attn_kv_a_mqa.weight": (WIDTH, rank + rope),
        "attn_kv_a_norm.weight": (rank,),
        "attn_output.weight": (HEADS * values, WIDTH),
    }
    if compressed:
        numbers |= {
            "attention.head_count_kv": 1,
            "attention.key_length": rank + rope,
            "attention.value_length": rank,
            "attention.key_length_mla": nope + rope,
            "attention.value_length_mla": values,
        }
        shapes |= {
            "attn_k_b.weight": (nope, rank, HEADS),
            "attn_v_b.weight": (rank, values, HEADS),
        }
    else:
        numbers |= {
            "attention.head_count_kv": HEADS,
            "attention.key_length": nope + rope,
            "attention.value_length": values,
        }
        shapes |= {"attn_kv_b.weight": (rank, HEADS * (nope + values))}
    return Tiny("deepseek2", 3, numbers, every(3, shapes))


def mamba() -> Tiny:
    inner, state, conv, rank = 2 * WIDTH, 1024, 33, 4
    numbers = {
        "ssm.conv_kernel": conv,
        "ssm.inner_size": inner,
        "ssm.state_size": state,
        "ssm.time_step_rank": rank,
        "attention.head_count": 0,
        "feed_forward_length": 0,
    }
    shapes = {
        "attn_norm.weight": (WIDTH,),
        "ssm_in.weight": (WIDTH, 2 * inner),
        "ssm_conv1d.weight": (conv, inner),
        "ssm_conv1d.bias": (inner,),
        "ssm_x.weight": (inner, rank + 2 * state),
        "ssm_dt.weight": (rank, inner),
        "ssm_dt.bias": (inner,),
        "ssm_a": (state, inner),
        "ssm_d": (inner,),
        "ssm_out.weight": (inner, WIDTH),
    }
    return Tiny("mamba", 3, numbers, every(3, shapes))


def falcon_h1() -> Tiny:
    inner, state, conv, rank, groups = 128, 512, 9, 8, 2
    numbers = heads(2, 16) | {
        "ssm.conv_kernel": conv,
        "ssm.inner_size": inner,
        "ssm.state_size": state,
        "ssm.time_step_rank": rank,
        "ssm.group_count": groups,
    }
    wide = inner + 2 * groups * state
    shapes = (
        FEED
        | norms("attn_norm")
        | attention(16, 2)
        | {
            "ffn_norm": (WIDTH,),
            "ssm_in.weight": (WIDTH, inner + wide + rank),
            "ssm_conv1d.weight": (conv, wide),
            "ssm_conv1d.bias": (wide,),
            "ssm_dt.bias": (rank,),
            "ssm_a": (1, rank),
            "ssm_d": (1, rank),
            "ssm_norm.weight": (inner // groups, groups),
            "ssm_out.weight": (inner, WIDTH),
        }
    )
    return Tiny("falcon-h1", 4, numbers, every(4, shapes))


def lfm2() -> Tiny:
    kept, kv_heads = 513, [0, 2, 0, 0, 2]
    conv = {
        "shortconv.conv.weight": (kept, WIDTH),
        "shortconv.in_proj.weight": (WIDTH, 3 * WIDTH),
        "shortconv.out_proj.weight": (WIDTH, WIDTH),
    }
    attends = attention(16, 2) | norms("attn_q_norm", "attn_k_norm", width=16)
    shapes = {index: PLAIN | (attends if count else conv) for index, count in enumerate(kv_heads)}
    numbers = heads(kv_heads, 16) | {"shortconv.l_cache": kept}
    return Tiny("lfm2", 5, numbers, shapes, norms("token_embd_norm"))


TINY = {
    "llama": Tiny("llama", 3, heads(2, 32), every(3, PLAIN | attention(32, 2))),
    "gemma2": Tiny(
        "gemma2",
        5,
        heads(2, 32) | {"attention.sliding_window": 512},
        every(5, ROUND | attention(32, 2)),
    ),
    "gemma3": gemma3(13),
    "gemma3, one layer in four": gemma3(9, **{"attention.sliding_window_pattern": 4}),
    "deepseek2": deepseek2(compressed=True),
    "deepseek2, not compressed": deepseek2(compressed=False),
    "mamba": mamba(),
    "falcon-h1": falcon_h1(),
    "lfm2": lfm2(),
}
