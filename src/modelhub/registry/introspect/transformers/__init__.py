"""Repositories that the transformers library opens: a configuration, a tokenizer, safetensors weights."""

from modelhub.registry.introspect.transformers.family import TransformersFamily

__all__ = ["TransformersFamily"]
