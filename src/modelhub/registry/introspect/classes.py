"""What each class of the transformers library is for: its name as a pipeline tag.

Classes: `transformers/models/auto/modeling_auto.py` (transformers 5.23); a test compares this table with
the classes of the installed library. Tags and subtasks: `huggingface.js: packages/tasks/src/pipelines.ts`.
"""

from typing import NamedTuple

__all__ = ["TASKLESS", "Use", "class_use", "taskless", "type_use"]


class Use(NamedTuple):
    """A canonical task id, and what tells it apart within the task."""

    task: str
    subtask: str | None = None


CHAT, SEQ2SEQ, EMBED = Use("text-generation"), Use("text2text-generation"), Use("feature-extraction")
TRANSLATE, FILL, JUDGE = Use("translation"), Use("fill-mask"), Use("text-classification")
ANSWER, ANSWER_PAGES = Use("question-answering"), Use("document-question-answering")
ANSWER_IMAGES, ANSWER_TABLES = Use("visual-question-answering"), Use("table-question-answering")
TAG, CHOOSE, FORECAST = (
    Use("token-classification"),
    Use("multiple-choice"),
    Use("time-series-forecasting"),
)

DETECT, CLASSIFY, DEPTH = Use("object-detection"), Use("image-classification"), Use("depth-estimation")
MASK, SEGMENT = Use("mask-generation"), Use("image-segmentation")
SEMANTIC, INSTANCES = (
    Use("image-segmentation", "semantic-segmentation"),
    Use("image-segmentation", "instance-segmentation"),
)
POSE, UPSCALE = Use("keypoint-detection"), Use("image-to-image", "super-resolution")
LOOK, CLASSIFY_ANY = Use("image-feature-extraction"), Use("zero-shot-image-classification")
DETECT_ANY, VIDEO = Use("zero-shot-object-detection"), Use("video-classification")
DRAW, OCR, READ = (
    Use("unconditional-image-generation"),
    Use("image-to-text", "ocr"),
    Use("image-to-text"),
)
SEE, FIND_PAGES, ANY = (
    Use("image-text-to-text"),
    Use("visual-document-retrieval"),
    Use("any-to-any"),
)

TRANSCRIBE, SPEAK = Use("automatic-speech-recognition"), Use("text-to-speech")
HEAR, LISTEN = Use("audio-classification"), Use("audio-text-to-text")

_BY_SUFFIX: dict[str, Use] = {
    "Backbone": LOOK,
    "ForAudioClassification": HEAR,
    "ForCTC": TRANSCRIBE,
    "ForCausalImageModeling": DRAW,
    "ForCausalLM": CHAT,
    "ForDepthEstimation": DEPTH,
    "ForDocumentQuestionAnswering": ANSWER_PAGES,
    "ForImageClassification": CLASSIFY,
    "ForImageClassificationConvProcessing": CLASSIFY,
    "ForImageClassificationFourier": CLASSIFY,
    "ForImageClassificationLearned": CLASSIFY,
    "ForImageClassificationWithTeacher": CLASSIFY,
    "ForImageMatting": Use("image-segmentation", "image-matting"),
    "ForImageSuperResolution": UPSCALE,
    "ForImageTextRetrieval": CLASSIFY_ANY,
    "ForInstanceSegmentation": INSTANCES,
    "ForKeypointDetection": POSE,
    "ForMaskedLM": FILL,
    "ForMultipleChoice": CHOOSE,
    "ForObjectDetection": DETECT,
    "ForPoseEstimation": POSE,
    "ForPrediction": FORECAST,
    "ForQuestionAnswering": ANSWER,
    "ForQuestionAnsweringSimple": ANSWER,
    "ForRNNT": TRANSCRIBE,
    "ForRetrieval": FIND_PAGES,
    "ForSceneTextRecognition": OCR,
    "ForSegmentation": SEGMENT,
    "ForSemanticSegmentation": SEMANTIC,
    "ForSequenceClassification": JUDGE,
    "ForSpeechSeq2Seq": TRANSCRIBE,
    "ForSpeechToText": TRANSCRIBE,
    "ForTDT": TRANSCRIBE,
    "ForTextRecognition": OCR,
    "ForTextToSpeech": SPEAK,
    "ForTextToText": TRANSLATE,
    "ForTokenClassification": TAG,
    "ForUniversalSegmentation": SEGMENT,
    "ForVideoClassification": VIDEO,
    "ForVisionText2Text": SEE,
    "LMHeadModel": CHAT,
    "MTModel": TRANSLATE,
    "ModelWithLMHead": CHAT,
}
"""By how the name of a class ends; the longest end counts."""

_AUDIO_ENCODERS = (
    "Data2VecAudio Hubert SEW SEWD UniSpeech UniSpeechSat Wav2Vec2 Wav2Vec2Bert Wav2Vec2Conformer WavLM"
)
_SEEING = (
    "Aria AyaVision Blip Blip2 Chameleon Cohere2Vision CohereCompass Cosmos3Edge Cosmos3Omni DeepseekOcr2"
    " DeepseekVL DeepseekVLHybrid Dots3Note Emu3 Ernie4_5_VLMoe Exaone4_5_ FastVlm Florence2 Gemma3 Gemma3n"
    " Gemma4 Gemma4Unified Glm46V Glm4v Glm4vMoe Glm5Next GlmOcr GotOcr2 Granite4Vision GraniteDocling"
    " HunYuanVL HyperCLOVAXVisionV2 Idefics2 Idefics3 Inkling Inkling2 InstructBlip InstructBlipVideo"
    " InternVL Janus Kimi_K25 Kosmos2 Kosmos2_5 Lfm2Vl Lfm3Vl LightOnOcr Llama4 Llava LlavaNext"
    " LlavaNextVideo LlavaOnevision MiniCPMOcr MiniCPMV4_6 MiniCPMV4_7 MiniMaxM3Sparse Mistral3"
    " MistralLarge4 Mllama Molmo2 MuseGlimmer MuseSpark Ovis2 PaddleOCRVL PaliGemma PerceptionLM Pix2Struct"
    " QianfanOCR Qwen2VL Qwen2_5OmniThinker Qwen2_5_VL Qwen3OmniMoeThinker Qwen3VL Qwen3VLMoe Qwen3_5"
    " Qwen3_5Moe Qwen4Exp SmolVLM Step3p7 T5Gemma2 Udop UnlimitedOcr VideoLlama3 VideoLlava VipLlava"
)
_REWRITING = (
    "Bart BigBirdPegasus Blenderbot BlenderbotSmall LED LongT5 MBart MT5 Mvp PLBart Pegasus PegasusX"
    " ProphetNet SwitchTransformers T5 T5Gemma UMT5"
)
_TRANSCRIBING = (
    "Canary CohereAsr FunAsrNano GlmAsr GraniteSpeech GraniteSpeechPlus KyutaiSpeechToText Moonshine"
    " MoonshineStreaming MossTranscribeDiarize Nemotron3_5Transcribe Qwen3ASR Speech2Text VibeVoiceAsr Voxtral"
    " VoxtralRealtime Whisper"
)
_SPEAKING = "Csm Dia GradiumPhononTTS HiggsAudioV2 Musicgen MusicgenMelody PocketTTS VibeVoice"
_GENERATING = {
    SEE: _SEEING,
    SEQ2SEQ: _REWRITING,
    TRANSCRIBE: _TRANSCRIBING,
    SPEAK: _SPEAKING,
    TRANSLATE: "FSMT M2M100 NllbMoe",
    LISTEN: "AudioFlamingo3 MusicFlamingo Qwen2Audio",
    ANY: "Qwen2_5Omni Qwen3OmniMoe",
    OCR: "PPFormulaNet",
    Use("robotics"): "PI0",
}
"""Models whose class ends in `ForConditionalGeneration`: any of them gives something for something."""

_IMAGE_MODELS = (
    "Aimv2Vision Beit Bit CLIPVision Cohere2Vision ConditionalDetr ConvNext ConvNextV2 DINOv3ConvNext DINOv3ViT DPT"
    " DabDetr Data2VecVision DeformableDetr DeiT DepthPro Detr Dinat Dinov2 Dinov2WithRegisters EfficientNet"
    " FocalNet GLPN Hiera IJepa ImageGPT Levit Llama4Vision MLCDVision MllamaVision MobileNetV1 MobileNetV2"
    " MobileViT MobileViTV2 Pixio PoolFormer Pvt RegNet ResNet Segformer SiglipVision SwiftFormer Swin Swin2SR"
    " Swinv2 TableTransformer Timesformer TimmWrapper Tipsv2Vision ViT ViTMAE ViTMSN VideoMAE VideoPrismVision"
    " VitDet Vivit Yolos"
)
_TEXT_MODELS = (
    "Albert Bert BigBird CLIPText Camembert Data2VecText Deberta DebertaV2 DistilBert Electra EmbeddingGemma2"
    " Emu3Text Ernie EuroBert Flaubert Gte IBert JinaEmbeddingsV3 Llama4Text Longformer MPNet MT5Encoder"
    " MegatronBert MllamaText MobileBert ModernBert Molmo2Text NomicBert Nystromformer Reformer RemBert RoCBert"
    " RoFormer Roberta RobertaPreLayerNorm SqueezeBert T5Encoder T5GemmaEncoder Tipsv2Text UMT5Encoder XLM"
    " XLMRoberta XLMRobertaXL"
)
_PAIRING = (
    "Align AltCLIP Blip CLIP CLIPSeg ChineseCLIP MetaClip2 Siglip Siglip2 Tipsv2 VideoPrismClip"
    " VisionTextDualEncoder"
)
_BARE = {
    LOOK: _IMAGE_MODELS,
    EMBED: _TEXT_MODELS,
    CLASSIFY_ANY: _PAIRING,
    MASK: "EdgeTam Sam Sam2 Sam3Tracker SamHQ",
    SPEAK: "Bark FastSpeech2Conformer Vits",
    SEQ2SEQ: "EncoderDecoder",
    TRANSCRIBE: "SpeechEncoderDecoder",
    READ: "VisionEncoderDecoder",
}
"""Models whose class ends in `Model`, and which are used without a head."""


def _named(group: dict[Use, str], suffix: str) -> dict[str, Use]:
    return {f"{name}{suffix}": use for use, names in group.items() for name in names.split()}


_BY_NAME: dict[str, Use] = {
    **_named(_GENERATING, "ForConditionalGeneration"),
    **_named(_BARE, "Model"),
    **_named({HEAR: _AUDIO_ENCODERS}, "ForSequenceClassification"),
    **_named(
        {DETECT_ANY: "GroundingDino MMGroundingDino OmDetTurbo OwlViT Owlv2"}, "ForObjectDetection"
    ),
    **_named(
        {
            ANSWER_PAGES: "LayoutLM LayoutLMv2 LayoutLMv3",
            ANSWER_IMAGES: "Blip Vilt",
            ANSWER_TABLES: "Tapas",
        },
        "ForQuestionAnswering",
    ),
    **_named({SEE: "Fuyu Git", ANY: "Phi4Multimodal"}, "ForCausalLM"),
    "BertGenerationDecoder": CHAT,
    "DPRContextEncoder": EMBED,
    "DPRQuestionEncoder": EMBED,
    "DiffusionGemmaForBlockDiffusion": SEE,
    "FastSpeech2ConformerWithHifiGan": SPEAK,
    "FlaubertWithLMHeadModel": FILL,
    "NemotronH_Omni_Reasoning_V3": SEE,
    "XLMWithLMHeadModel": FILL,
}
"""Classes whose name alone says it, or whose end would say something else."""

_BY_TYPE: dict[str, Use] = {
    **dict.fromkeys(
        ["conditional_detr", "d_fine", "deformable_detr", "rf_detr", "rt_detr", "rt_detr_v2", "yolos"],
        DETECT,
    ),
    **dict.fromkeys(["depth_anything", "depth_pro", "glpn", "zoedepth"], DEPTH),
    **dict.fromkeys(["moonshine", "speech_to_text", "whisper"], TRANSCRIBE),
    **dict.fromkeys(["edgetam", "sam", "sam2", "sam_hq"], MASK),
    **dict.fromkeys(["style_text_to_speech_2", "vits"], SPEAK),
    **dict.fromkeys(["grounding-dino", "owlv2", "owlvit"], DETECT_ANY),
    **dict.fromkeys(["clip", "siglip", "siglip2"], CLASSIFY_ANY),
    "marian": TRANSLATE,
    "swin2sr": UPSCALE,
    "vitmatte": _BY_SUFFIX["ForImageMatting"],
    "vitpose": POSE,
}
"""By `model_type`, of models that serve one task only: some configurations name no class."""

TASKLESS: dict[str, str] = {
    "ForAudioFrameClassification": "says who speaks in each frame of a sound",
    "ForDecision": "chooses among options",
    "ForKeypointMatching": "matches points of two images",
    "ForMaskedImageModeling": "was left as it was trained, to fill in parts of images",
    "ForNextSentencePrediction": "tells whether one sentence follows another",
    "ForNormalEstimation": "gives the direction of each surface in an image",
    "ForPointmapEstimation": "gives a place in space for each pixel",
    "ForPreTraining": "was left as it was trained, with several heads",
    "ForProteinText2Text": "answers questions about proteins",
    "ForRegression": "gives numbers for a series",
    "ForTableRecognition": "gives the structure of a table in an image",
    "ForTimeSeriesClassification": "gives the class of a series",
    "ForXVector": "gives vectors of voices",
    "PatchTSTForClassification": "gives the class of a series",
    "Pop2PianoForConditionalGeneration": "gives the notes of a sound",
    **dict.fromkeys(
        [
            "DacModel",
            "HiggsAudioV2TokenizerModel",
            "NeuCodecModel",
            "PocketTTSAudioTokenizerModel",
            "VibeVoiceAcousticTokenizerModel",
            "Xcodec2Model",
        ],
        "makes tokens of sounds",
    ),
}
"""Ends of classes that no pipeline tag stands for, and what such a model does."""


def class_use(name: str) -> Use | None:
    """What a class is for; `None` where its name does not say it."""
    if use := _BY_NAME.get(name):
        return use
    return None if taskless(name) else _BY_SUFFIX.get(_end(name, _BY_SUFFIX))


def type_use(model_type: str) -> Use | None:
    """What models of a type are for, where all of them are for one thing."""
    return _BY_TYPE.get(model_type)


def taskless(name: str) -> str | None:
    """What a class does that no task stands for."""
    return TASKLESS.get(_end(name, TASKLESS))


def _end(name: str, ends: dict[str, Use] | dict[str, str]) -> str:
    return max((end for end in ends if name.endswith(end)), key=len, default="")
