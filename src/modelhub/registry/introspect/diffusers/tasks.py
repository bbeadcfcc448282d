"""Which task a pipeline serves: by the name of its class, then by the card.

Classes: `diffusers/pipelines/__init__.py` and `auto_pipeline.py` (diffusers 0.42). A name is a family's
and what the pipeline does that others of the family do not; without that, it does what its family does.
Classes that make something of nothing, or what only another pipeline can use, are in no table.
"""

import re
from typing import NamedTuple

from modelhub.facts import RepoListing
from modelhub.registry.introspect.architectures import said_task
from modelhub.registry.introspect.base import FROM_CARD, FROM_CONFIG

__all__ = ["PipelineTask", "find_pipeline_task"]

T2I, I2I, T2V, I2V = "text-to-image", "image-to-image", "text-to-video", "image-to-video"
V2V, AUDIO, DEPTH = "video-to-video", "text-to-speech", "depth-estimation"
INPAINTING, UPSCALING = "image-inpainting", "super-resolution"

_WHOLE: dict[str, str | None] = {
    "ConsisID": I2V,
    "EasyAnimateInpaint": I2V,
    "HunyuanVideoFramepack": I2V,
    "I2VGenXL": I2V,
    "LEditsPPStableDiffusion": I2I,
    "LEditsPPStableDiffusionXL": I2I,
    "LucyEdit": V2V,
    "MarigoldDepth": DEPTH,
    "PIA": I2V,
    "PaintByExample": I2I,
    "ShapEImg2Img": None,
    "StableAudio3Inpaint": AUDIO,
    "StableCascadeDecoder": T2I,
    "StableDiffusionModelEditing": T2I,
    "StableVideoDiffusion": I2V,
    "TextToVideoSD": T2V,
    "TextToVideoZero": T2V,
    "TextToVideoZeroSDXL": T2V,
    "VisualCloze": I2I,
    "WuerstchenDecoder": T2I,
}
"""Names that do not say it, or say something else."""

_DOING = (
    (r"VideoToVideo", V2V, None),
    (r"TextToWorld|TI?2V", T2V, None),
    (r"ImageToVideo|Image2Video|I2V|VideoToWorld", I2V, None),
    (r"TextToImage|T2I", T2I, None),
    (r"SuperResolution|Upscale", I2I, UPSCALING),
    (r"Inpaint|FluxFill", I2I, INPAINTING),
    (r"Img2Img|I2I|Edit|Kontext|Pix2Pix|Depth2Img|ImageVariation|CycleDiffusion", I2I, None),
)
"""What a part of a name means; the first that is in it counts."""

_FAMILIES = (
    (
        T2V,
        (
            "Allegro|AnimateDiff|AnyFlow|CogVideoX|EasyAnimate|Helios(?:Pyramid)?|HunyuanVideo(?:15)?"
            "|LTX(?:25?)?|Latte|Mochi|MotifVideo|SanaVideo|SkyReelsV2(?:DiffusionForcing)?|Wan(?:22)?"
        ),
    ),
    (AUDIO, "AceStep|AudioLDM2?|LongCatAudioDiT|MusicLDM|StableAudio3?"),
    (
        T2I,
        (
            "AltDiffusion|Amused|AuraFlow|BlipDiffusion|Bria(?:Fibo2?)?|Chroma|CogView[34](?:Plus)?|Cosmos2"
            "|DreamLite(?:Mobile)?|ErnieImage|Flux(?:[23](?:Klein)?)?|GlmImage|HiDreamImage|HunyuanDiT|HunyuanImage"
            "|IF|Ideogram4|Kandinsky(?:V22|3)?|Kolors|Krea2|LDM|LatentConsistencyModel|LongCatImage|Lumina2?"
            "|NucleusMoEImage|OmniGen|OvisImage|PRX(?:Pixel)?|PixArt(?:Alpha|Sigma)|QwenImage(?:21)?"
            "|Sana(?:Sprint)?|SemanticStableDiffusion|Stable(?:Cascade|Diffusion(?:XL|3)?|UnCLIP)|UnCLIP"
            "|VQDiffusion|VersatileDiffusion|Wuerstchen|ZImage(?:Omni)?"
        ),
    ),
)
_BESIDE = (
    r"(?:Combined|Controlnet|Control(?:Net)?(?:XS|Union)?|Sparse|PAG|SDXL|Adapter|AttendAndExcite|GLIGEN"
    r"|TextImage|LDM3D|Panorama|Paradigms|SAG|Safe|Onnx|Legacy|DualGuided|Base|Distilled|Turbo|KV)*"
)
"""What steers a pipeline and leaves its task what it is."""

_PIPELINE = re.compile(r"^(?:Flax|Onnx)|ModularPipeline|Pipeline|(?:Auto)?Blocks$")
_DOES = tuple((re.compile(pattern), task, subtask) for pattern, task, subtask in _DOING)
_OF_FAMILY = tuple((re.compile(f"(?:{names}){_BESIDE}"), task) for task, names in _FAMILIES)


class PipelineTask(NamedTuple):
    """A canonical task id and a subtask; what they rest on, and how far that is trusted."""

    task: str
    subtask: str | None
    evidence: str
    trust: int


def find_pipeline_task(name: str | None, index: str, listing: RepoListing) -> PipelineTask | None:
    """The task of a pipeline whose class is `name` in the file `index`; `None` where nothing says it."""
    task, subtask = _by_class(name or "")
    if task:
        return PipelineTask(task, subtask, f"{index}: _class_name: {name}", FROM_CONFIG)
    said = said_task(listing)
    return PipelineTask(said.task, None, said.evidence, FROM_CARD) if said else None


def _by_class(name: str) -> tuple[str | None, str | None]:
    bare = _PIPELINE.sub("", name)
    if not bare or bare == name:
        return None, None
    if bare in _WHOLE:
        return _WHOLE[bare], None
    for pattern, task, subtask in _DOES:
        if pattern.search(bare):
            return task, subtask
    return next((task for pattern, task in _OF_FAMILY if pattern.fullmatch(bare)), None), None
