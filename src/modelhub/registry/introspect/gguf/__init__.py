"""GGUF repositories: each quantization a variant, its shards one variant."""

from modelhub.registry.introspect.gguf.family import GGUFFamily

__all__ = ["GGUFFamily"]
