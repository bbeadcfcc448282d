"""A small repository, as bytes."""

from modelhub.refs import ModelRef

TOKEN = "hf_canary0123456789canary0123456789ca"
WEIGHTS = bytes(i * 7 % 251 for i in range(300_000))
CARD = (
    b"---\nlicense: mit\npipeline_tag: text-generation\nlibrary_name: gguf\ntags: [tiny]\n---\n# Tiny\n"
)
FILES = {
    "README.md": CARD,
    "config.json": b'{"a": 1}',
    "tiny.q8_0.gguf": WEIGHTS,
    "sub/model.safetensors": WEIGHTS[:1000],
    "sub/empty.txt": b"",
    "sub/na\u00efve 100% #1 & more.txt": b"odd",
}
REPO = "Zoo/Tiny-GGUF"


def make(root, files):
    for path, data in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return root


def ref(text=REPO):
    return ModelRef.parse(text)
