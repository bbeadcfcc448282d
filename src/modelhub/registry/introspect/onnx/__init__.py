"""Repositories with ONNX graphs: of one model in several precisions and parts, or of unrelated models."""

from modelhub.registry.introspect.onnx.family import ONNXFamily

__all__ = ["ONNXFamily"]
