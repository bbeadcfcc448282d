"""What the fakes load: a folder with one file, which says that it is sound."""

from pathlib import Path

from modelhub.facts import Component, Model, RepoFile, Variant
from modelhub.refs import RepoPath
from modelhub.runtimes import Bundle

SOUND = "sound\n"


def write_bundle(folder: Path, task: str, content: str = SOUND) -> Bundle:
    """A model of one file with this content."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "weights.txt").write_text(content)
    file = RepoFile(path=RepoPath("weights.txt"), size=len(content))
    part = Component(name="model", repo="zoo/fake", commit="0" * 40, files=(file,), format="text")
    variant = Variant(name="text", format="text", components=(part,))
    model = Model(name="fake", task=task, category="fake", variants=(variant,))
    return Bundle(model, variant, {"model": folder})


def check_sound(bundle: Bundle) -> None:
    """What an engine would do: fail, in words of its own, on a file that it does not understand."""
    (path,) = bundle.files("model")
    if path.read_text() != SOUND:
        raise ValueError("the weights are no weights")
