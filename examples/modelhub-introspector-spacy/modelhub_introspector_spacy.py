"""spaCy pipelines: a folder with `meta.json` and `config.cfg`, and a folder for each component."""

from modelhub.facts import Component, Evidence, Model, RepoListing, RepoWarning, Variant
from modelhub.refs import RepoPath
from modelhub.registry.introspect import (
    FROM_CONFIG,
    Documents,
    Fields,
    Findings,
    Introspector,
    Metadata,
)

META = RepoPath("meta.json")

TASKS = {  # https://spacy.io/usage/processing-pipelines#built-in
    "ner": "token-classification",
    "tagger": "token-classification",
    "textcat": "text-classification",
    "textcat_multilabel": "text-classification",
}


class SpacyIntrospector(Introspector):
    name = "spacy"

    def matches(self, listing: RepoListing) -> bool:
        return META in listing.by_path and "config.cfg" in listing.by_path

    def files_wanted(self, listing: RepoListing) -> tuple[RepoPath, ...]:
        return (META,)

    def describe(self, listing: RepoListing, metadata: Metadata) -> Findings:
        documents = Documents(listing, metadata)
        meta = documents.fields(META)
        steps = meta.texts("pipeline")
        step = next((step for step in TASKS if step in steps), None)
        if step is None:
            text = f"{META} lists no step that modelhub has a task for."
            unknown = RepoWarning(code="task.unknown", text=text)
            return Findings(warnings=(unknown, *documents.warnings()))
        row = Evidence(
            subject="model:pipeline",
            key="task",
            value=TASKS[step],
            evidence=f"{META}: pipeline: {step}",
            trust=FROM_CONFIG,
        )
        return Findings((model(listing, meta, step),), (row,), tuple(documents.warnings()))


def model(listing: RepoListing, meta: Fields, step: str) -> Model:
    files = tuple(file for file in listing.files if not file.path.endswith((".whl", ".md")))
    part = Component(name="pipeline", repo=listing.repo.id, commit=listing.commit, files=files)
    return Model(
        name="pipeline",
        task=TASKS[step],
        category="llm",
        architecture=meta.text("name"),
        details={"steps": list(meta.texts("pipeline")), "language": meta.text("lang")},
        variants=(Variant(name="spacy", format="spacy", components=(part,)),),
    )
