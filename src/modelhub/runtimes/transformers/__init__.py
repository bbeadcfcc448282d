"""PyTorch models of the transformers library: chat by the model's own template, and embeddings.

Weights in safetensors only. The libraries are imported when a model is loaded, not before.
"""

from modelhub.runtimes.transformers.runtime import TransformersRuntime

__all__ = ["TransformersRuntime"]
