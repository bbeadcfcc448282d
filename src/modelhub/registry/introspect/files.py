"""What each file of a repository is for, by its name, and which are read at sync."""

import re
from collections.abc import Iterable
from itertools import islice

from modelhub.facts import FileKind, RepoFile
from modelhub.refs import RepoPath

__all__ = [
    "DESCRIBING",
    "MAX_FILE",
    "MAX_FILES",
    "MAX_TOTAL",
    "classify",
    "is_processor",
    "metadata_wanted",
    "tokenizer_files",
]

MAX_FILE = 16 << 20
"""The largest metadata file that is read. Shard indexes of the largest models have 9 MB."""
MAX_TOTAL = 32 << 20
MAX_FILES = 200
TEMPLATES = "additional_chat_templates"
DESCRIBING = (FileKind.CONFIG, FileKind.METADATA, FileKind.TOKENIZER, FileKind.CARD)
"""The kinds of the files that say what a repository has."""
MAX_TOKENIZER = 1000
"""Files of a tokenizer, with its templates."""

_WEIGHTS = re.compile(
    r".*\.(?:bin|ckpt|engine|gguf|h5|keras|llamafile|mlmodel|msgpack|npz|onnx|ot|params|pb|pdiparams|pdmodel"
    r"|pickle|pkl|plan|pte?|pth|safetensors|tflite|torchscript|weights)|.*\.onnx(?:_data|\.data).*"
)
_CODE = re.compile(r".*\.(?:bat|cc?|cpp|cuh?|dll|h|hpp|ipynb|js|php|ps1|pyc?|rb|sh|so|ts)")
_VOCABULARY = re.compile(
    r"(?:tokenizer|vocab|tekken)\.json|merges\.txt|vocab\.(?:txt|bpe)|bpe\.codes|.+\.tiktoken"
    r"|(?:tokenizer|spiece|spm|sentencepiece(?:\.bpe)?)\.model"
)
_TOKENIZER = re.compile(
    r"tokenizer_config\.json|chat_template\.(?:jinja|json)|added_tokens\.json|special_tokens_map\.json"
)
_CONFIG = re.compile(
    r"(?:.+_)?config\.json|config_sentence_transformers\.json|configuration\.json|modules\.json"
)
_PROCESSOR = re.compile(r"(?:(?:image_|video_)?preprocessor|processor|feature_extractor)_config\.json")
_METADATA = re.compile(r"(?:modular_)?model_index\.json|.+\.index(?:\.\w+)?\.json")
_CARD = re.compile(r"readme\.md|(?:license|licence|copying|notice)(?:\.(?:md|txt))?|use_policy\.md")

_KINDS = (
    (_CARD, FileKind.CARD),
    (_VOCABULARY, FileKind.TOKENIZER),
    (_TOKENIZER, FileKind.TOKENIZER),
    (_CONFIG, FileKind.CONFIG),
    (_METADATA, FileKind.METADATA),
    (_CODE, FileKind.CODE),
    (_WEIGHTS, FileKind.MODEL),
)


def classify(path: RepoPath) -> FileKind:
    """What a file is for, by its name alone."""
    name = path.name.lower()
    if path.folder.endswith(TEMPLATES):
        return FileKind.TOKENIZER
    return next((kind for pattern, kind in _KINDS if pattern.fullmatch(name)), FileKind.OTHER)


def metadata_wanted(files: Iterable[RepoFile], more: Iterable[RepoPath] = ()) -> tuple[RepoFile, ...]:
    """Those of `files` that describe their repository: configurations, indexes, templates, cards, and `more`.

    Else never weights, code or vocabularies. Files near the root come first, small ones before large
    ones; what exceeds `MAX_FILE`, `MAX_FILES` or `MAX_TOTAL` bytes is left out.
    """
    asked = set(more)
    wanted = [
        file for file in files if _describes(file) or (file.path in asked and file.size <= MAX_FILE)
    ]
    wanted.sort(key=lambda file: (file.path.count("/"), file.size, file.path))
    return tuple(_within(wanted[:MAX_FILES]))


def tokenizer_files(files: Iterable[RepoFile], folder: str) -> tuple[RepoFile, ...]:
    """Those of `files` that are of the tokenizer in a folder, with further templates."""
    folders = (folder, f"{folder}/{TEMPLATES}" if folder else TEMPLATES)
    found = (
        file
        for file in files
        if file.path.folder in folders and classify(file.path) is FileKind.TOKENIZER
    )
    return tuple(islice(found, MAX_TOKENIZER))


def is_processor(file: RepoFile) -> bool:
    """Whether a file says how images, sounds or videos are made into what a model reads."""
    return bool(_PROCESSOR.fullmatch(file.path.name))


def _describes(file: RepoFile) -> bool:
    # A vocabulary is large and says nothing of the model: it is fetched with the weights.
    if file.size > MAX_FILE or _VOCABULARY.fullmatch(file.path.name.lower()):
        return False
    return classify(file.path) in DESCRIBING


def _within(files: Iterable[RepoFile]) -> Iterable[RepoFile]:
    total = 0
    for file in files:
        total += file.size
        if total > MAX_TOTAL:
            return
        yield file
