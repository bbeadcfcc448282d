"""Repositories of adapters: PEFT's folders, and single files of LoRA for diffusers. An adapter is a model."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from modelhub.facts import (
    Component,
    Evidence,
    JsonDict,
    JsonValue,
    Model,
    RepoFile,
    RepoListing,
    RepoWarning,
    Variant,
)
from modelhub.refs import RepoPath
from modelhub.registry.introspect.adapters.bases import (
    Claim,
    base_claims,
    choose_base,
    repository_of,
)
from modelhub.registry.introspect.adapters.config import (
    ASSUMED,
    adapter_details,
    find_adapter_task,
)
from modelhub.registry.introspect.adapters.header import adapter_kind, metadata_said, rank
from modelhub.registry.introspect.adapters.places import Place, find_places, holds_whole_model
from modelhub.registry.introspect.architectures import TaskFinding
from modelhub.registry.introspect.base import (
    FROM_CONFIG,
    FROM_HEADER,
    FROM_NAME,
    Findings,
    Metadata,
)
from modelhub.registry.introspect.documents import Documents, Fields
from modelhub.registry.introspect.files import tokenizer_files
from modelhub.registry.introspect.measures import Measure, measure
from modelhub.registry.introspect.naming import repository_name, unique
from modelhub.registry.introspect.weight_names import plain_name
from modelhub.registry.introspect.weights import PICKLED, SAFE, WeightSet, pickle_warnings
from modelhub.tasks import find_task

__all__ = ["AdaptersFamily"]

PEFT, LORA = "peft", "lora"
"""Formats of variants: runtimes that read plain weights cannot apply them."""


class AdaptersFamily:
    """Repositories with `adapter_config.json`, or with a file that is said to be a LoRA."""

    name = "adapters"

    def matches(self, listing: RepoListing) -> bool:
        return bool(find_places(listing))

    def headers_wanted(self, listing: RepoListing) -> tuple[RepoPath, ...]:
        if holds_whole_model(listing):
            return ()
        return tuple(place.weights.path for place in find_places(listing) if place.format == SAFE)

    def describe(self, listing: RepoListing, metadata: Metadata) -> Findings:
        description = _Description(Documents(listing, metadata))
        places = find_places(listing)
        if holds_whole_model(listing):
            return description.companions(places)
        return description.findings(places)


@dataclass
class _Description:
    """Collects what is found of the adapters of a repository."""

    documents: Documents
    evidence: list[Evidence] = field(default_factory=list)
    warned: list[RepoWarning] = field(default_factory=list)

    def companions(self, places: Sequence[Place]) -> Findings:
        """Adapters beside a whole model are told, and are no models."""
        for place in places:
            self._note(
                f"file:{place.weights.path}", "role", "adapter", "beside a whole model", FROM_NAME
            )
        return Findings(evidence=tuple(self.evidence))

    def findings(self, places: Sequence[Place]) -> Findings:
        kinds = {place: self._kind(place) for place in places}
        known = [place for place in places if kinds[place]]
        if odd := [place.weights.path for place in places if not kinds[place]]:
            shown = ", ".join(odd[:5]) + ("…" if len(odd) > 5 else "")
            text = f"{shown}: said to be an adapter, and most of its tensors are those of none."
            self._warn("adapter.unknown", text)
        names = self._names(known)
        found = [
            self._model(place, name, kinds[place]) for place, name in zip(known, names, strict=True)
        ]
        warnings = (*self.warned, *self.documents.warnings())
        return Findings(tuple(filter(None, found)), tuple(self.evidence), warnings)

    def _kind(self, place: Place) -> str:
        """What the header says it is; without one, what file names do."""
        header = self.documents.metadata.safetensors(place.weights.path)
        if place.config:
            return PEFT
        return LORA if header and adapter_kind(header) else ""

    def _names(self, places: Sequence[Place]) -> list[str]:
        """The repository's for one at the root that is alone there; others by folder or file."""
        whole = repository_name(self.documents.listing.repo.name)
        loose = sum(not place.folder for place in places)

        def candidates(place: Place) -> list[str]:
            stem = place.weights.path.name.removesuffix(place.weights.path.suffix)
            if not place.folder and loose == 1:
                return [whole]
            folder = place.folder.replace("/", "-")
            own = folder if place.config else stem
            return [name for name in (plain_name(own), plain_name(f"{folder}-{stem}"), whole) if name]

        return unique(map(candidates, places))

    def _model(self, place: Place, name: str, kind: str) -> Model | None:
        config = self.documents.fields(place.config.path if place.config else "")
        details = self._details(place, name, config)
        base = self._base(name, config)
        task = find_adapter_task(details, config, self.documents.listing)
        if task is None:
            stated = details.get("task_type") or self.documents.listing.pipeline_tag
            self._warn("task.unknown", f"{place.weights.path}: {stated} is no task of modelhub's.")
            return None
        variant = self._variant(place, name, kind)
        return Model(
            name=name,
            task=task.task,
            category=find_task(task.task).category,
            parameters=variant.parameters,
            details=self._all_details(name, details, base, task),
            variants=(variant,),
        )

    def _all_details(
        self, name: str, details: JsonDict, base: Claim | None, task: TaskFinding
    ) -> JsonDict:
        assumed = task.evidence == ASSUMED
        if not assumed:
            self._note(f"model:{name}", "task", task.task, task.evidence, task.trust)
        found: JsonDict = {"adapter": details | ({"task": ASSUMED} if assumed else {})}
        if base:
            place: JsonDict = {"repo": repository_of(base.text), "revision": base.revision}
            found["base"] = {key: value for key, value in place.items() if value}
        return found

    def _details(self, place: Place, name: str, config: Fields) -> JsonDict:
        """What configuration and header say; where they disagree, both are told."""
        details = adapter_details(config)
        subject = f"model:{name}"
        for key, value in details.items():
            if not key.startswith("target_modules"):
                self._note(subject, key, value, f"{config.name}: {key}", FROM_CONFIG)
        header = self.documents.metadata.safetensors(place.weights.path)
        if header is None:
            return details
        seen: JsonDict = {"r": rank(header), "peft_type": adapter_kind(header)}
        seen = {key: value for key, value in seen.items() if value is not None}
        for key, value in seen.items():
            self._note(subject, key, value, f"{place.weights.path}: tensors", FROM_HEADER)
        said = metadata_said(header)
        for key, value in said.items():
            # What the trainer wrote down, not what the tensors are.
            self._note(subject, key, value, f"{place.weights.path}: __metadata__", FROM_CONFIG)
        # A configuration knows the kind better than names of tensors do, and the rank not so well.
        return said | seen | details | {key: seen[key] for key in ("r",) if key in seen}

    def _base(self, name: str, config: Fields) -> Claim | None:
        """The repository that it builds on; every statement of it is kept."""
        claims = base_claims(self.documents, config)
        for claim in claims:
            self._note(f"model:{name}", "base_model", claim.text, claim.evidence, claim.trust)
        base = choose_base(claims)
        if base is not None:
            return base
        said = ", ".join(f"{claim.text!r:.80} ({claim.evidence})" for claim in claims[:5])
        if any(claim.is_path for claim in claims):
            text = (
                f"{name}: the model that it builds on is named by a folder of whoever made it: {said}."
            )
        elif claims:
            text = f"{name}: nothing names one repository that it builds on: {said}."
        else:
            text = f"{name}: nothing says on which model it builds."
        self._warn("base.unknown", text)
        return None

    def _variant(self, place: Place, name: str, kind: str) -> Variant:
        how = measure(
            self.documents,
            WeightSet(place.format, "", (place.weights,)),
            Fields("", {}, self.documents.tell),
        )
        if place.format == PICKLED:
            self.warned += pickle_warnings([WeightSet(PICKLED, "", (place.weights,))])
        self._note_measure(name, how)
        files = (place.weights, *([place.config] if place.config else []))
        main = self._component("adapter", place, files).model_copy(
            update={
                "format": place.format,
                "precision": how.precision,
                "parameters": how.parameters,
            }
        )
        tokens = tokenizer_files(self.documents.listing.files, place.folder) if place.config else ()
        more = (self._component("tokenizer", place, tokens),) if tokens else ()
        kind = PICKLED if place.format == PICKLED else kind
        return Variant(
            name=how.precision or kind,
            format=kind,
            precision=how.precision,
            parameters=how.parameters,
            components=(main, *more),
        )

    def _note_measure(self, name: str, how: Measure) -> None:
        said: JsonDict = {
            "precision": how.precision and how.precision.value,
            "parameters": how.parameters,
        }
        for key, value in said.items():
            if value is not None:
                self._note(f"component:{name}:adapter", key, value, how.source, how.trust)

    def _component(self, name: str, place: Place, files: tuple[RepoFile, ...]) -> Component:
        listing = self.documents.listing
        return Component(
            name=name, repo=listing.repo.id, commit=listing.commit, files=files, folder=place.folder
        )

    def _warn(self, code: str, text: str) -> None:
        self.warned.append(RepoWarning(code=code, text=text))

    def _note(self, subject: str, key: str, value: JsonValue, evidence: str, trust: int) -> None:
        self.evidence.append(
            Evidence(subject=subject, key=key, value=value, evidence=evidence, trust=trust)
        )
