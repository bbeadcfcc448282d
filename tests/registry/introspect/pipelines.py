"""Repositories for diffusers by hand, laid out as its pipelines are saved."""

from typing import Any

SDXL: dict[str, Any] = {
    "model_index.json": {
        "_class_name": "StableDiffusionXLPipeline",
        "_diffusers_version": "0.19.0.dev0",
        "force_zeros_for_empty_prompt": True,
        "add_watermarker": None,
        "scheduler": ["diffusers", "EulerDiscreteScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "tokenizer_2": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
        "image_encoder": [None, None],
        "feature_extractor": [None, None],
    },
    "scheduler/scheduler_config.json": {"_class_name": "EulerDiscreteScheduler"},
    "text_encoder/config.json": {"architectures": ["CLIPTextModel"], "torch_dtype": "float16"},
    "text_encoder/model.safetensors": "F32",
    "text_encoder/model.fp16.safetensors": "F16",
    "text_encoder_2/config.json": {"architectures": ["CLIPTextModelWithProjection"]},
    "text_encoder_2/model.safetensors": "F32",
    "text_encoder_2/model.fp16.safetensors": "F16",
    "tokenizer/merges.txt": b"",
    "tokenizer/special_tokens_map.json": {},
    "tokenizer/tokenizer_config.json": {},
    "tokenizer/vocab.json": {},
    "tokenizer_2/merges.txt": b"",
    "tokenizer_2/special_tokens_map.json": {},
    "tokenizer_2/tokenizer_config.json": {},
    "tokenizer_2/vocab.json": {},
    "unet/config.json": {"_class_name": "UNet2DConditionModel"},
    "unet/diffusion_pytorch_model.safetensors": "F32",
    "unet/diffusion_pytorch_model.fp16.safetensors": "F16",
    "vae/config.json": {"_class_name": "AutoencoderKL"},
    "vae/diffusion_pytorch_model.safetensors": "F32",
    "vae/diffusion_pytorch_model.fp16.safetensors": "F16",
}
"""As stabilityai/stable-diffusion-xl-base-1.0 has them, without the files that are no pipeline's."""

SMALL: dict[str, Any] = {
    "model_index.json": {
        "_class_name": "FluxPipeline",
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "transformer": ["diffusers", "FluxTransformer2DModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    },
    "scheduler/scheduler_config.json": {},
    "transformer/config.json": {"_class_name": "FluxTransformer2DModel"},
    "transformer/diffusion_pytorch_model.safetensors": "BF16",
    "vae/config.json": {"_class_name": "AutoencoderKL"},
    "vae/diffusion_pytorch_model.safetensors": "F32",
}
"""The least of a pipeline that has two models."""


def without(files: dict[str, Any], *starts: str) -> dict[str, Any]:
    """The files but those whose paths start so."""
    return {path: value for path, value in files.items() if not path.startswith(starts)}


def index(**parts: Any) -> dict[str, Any]:
    """`SMALL` with other parts in its index; `None` takes one out."""
    values = SMALL["model_index.json"] | parts
    return {"model_index.json": {name: value for name, value in values.items() if value is not None}}
