"""Copies a committed repository to where it is served from."""

import shutil
from pathlib import Path

LARGE = ("gguf", "safetensors", "bin", "onnx")
GIT_ATTRIBUTES = "".join(f"*.{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LARGE)
"""As the hub puts it into every repository; written here, not committed, for it would act on our own."""


def copy_files(source: Path, folder: Path) -> None:
    """The files of a committed repository, and the one that is not committed; the folder is made if need be."""
    shutil.copytree(source, folder, dirs_exist_ok=True)
    (folder / ".gitattributes").write_text(GIT_ATTRIBUTES, encoding="utf-8")
