"""What is known of a pipeline beyond its variants: its parts by class, and the code that it asks to run."""

from collections.abc import Iterator, Sequence

from modelhub.errors import UnsafePath
from modelhub.facts import JsonDict, JsonValue, Variant
from modelhub.refs import RepoPath
from modelhub.registry.introspect.code import Code, find_code, joined
from modelhub.registry.introspect.diffusers.index import MODULAR, Elsewhere, Index
from modelhub.registry.introspect.diffusers.parts import Holding
from modelhub.registry.introspect.documents import Documents
from modelhub.registry.introspect.weights import inside

__all__ = ["architecture", "find_pipeline_code", "pipeline_details", "place"]


def find_pipeline_code(documents: Documents, index: Index) -> Code:
    """The Python code that the pipeline, its parts and their configurations name.

    A part's library may be a file in its folder (`diffusers.pipelines`: get_class_obj_and_candidates).
    """
    folders = {part.folder for part in index.parts if part.folder}
    if MODULAR in documents.listing.by_path:
        folders.add("")
    asked = [find_code(documents, folder) for folder in sorted(folders)]
    modules = {
        path
        for part in index.parts
        if (path := inside(part.folder, f"{part.library}.py")) in documents.listing.by_path
    }
    return joined([Code(modules=tuple(sorted(modules))), *asked, *_of_pipeline(documents, index)])


def _of_pipeline(documents: Documents, index: Index) -> Iterator[Code]:
    """That of the pipeline itself: a file at the root, or something that is not in the repository."""
    if index.module is None:
        return
    try:
        path = RepoPath(f"{index.module}.py")
    except UnsafePath as error:
        documents.tell(f"{index.path}: _class_name: {error.message}")
        return
    here = path in documents.listing.by_path
    yield Code(modules=(path,)) if here else Code(elsewhere=(index.module,))


def architecture(holdings: Sequence[Holding]) -> str | None:
    """The class of what takes the noise away."""
    main = max(holdings, key=lambda each: each.denoises, default=None)
    return (main.part.type or None) if main and main.denoises else None


def pipeline_details(index: Index, variant: Variant, code: Code) -> JsonDict:
    """Its class and parts; precisions and parameters are those of this variant."""
    measured = {part.name: part for part in variant.components}
    parts: JsonDict = {}
    for part in index.parts:
        if component := measured.get(part.name):
            said: JsonDict = {
                "library": part.library,
                "class": part.type,
                "precision": component.precision,
                "parameters": component.parameters,
            }
            parts[part.name] = {name: value for name, value in said.items() if value}
    details: JsonDict = {
        "pipeline_class": index.type,
        "diffusers_version": index.version,
        "components": parts,
        "components_elsewhere": {each.name: place(each) for each in index.elsewhere},
        "code_elsewhere": list[JsonValue](code.elsewhere),
    }
    return {name: value for name, value in details.items() if value}


def place(part: Elsewhere) -> JsonDict:
    """Where a part is that is of another repository, and what it is."""
    said: JsonDict = {
        "repo": part.repo,
        "subfolder": part.subfolder,
        "revision": part.revision,
        "variant": part.variant,
        "library": part.library,
        "class": part.type,
    }
    return {name: value for name, value in said.items() if value}
