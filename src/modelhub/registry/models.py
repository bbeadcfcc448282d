"""What was found in a commit: models, variants, components, and the statements behind them."""

from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session, selectinload

from modelhub.errors import RevisionNotFound
from modelhub.facts import (
    Component,
    Evidence,
    FileKind,
    Model,
    RepoFile,
    Report,
    RepoWarning,
    Sharing,
    Variant,
)
from modelhub.refs import Digest, RepoPath
from modelhub.registry.findings import replace_facts, replace_models
from modelhub.registry.listed import relist
from modelhub.registry.sharing import sharings
from modelhub.registry.statements import batches, now
from modelhub.registry.tables import (
    ComponentFileRow,
    ComponentRow,
    FactRow,
    ModelRow,
    RepoFileRow,
    RepoRow,
    RevisionRow,
    VariantRow,
)
from modelhub.registry.types import utc_now

_WHOLE = (
    selectinload(ModelRow.variants)
    .selectinload(VariantRow.components)
    .selectinload(ComponentRow.files)
    .joinedload(ComponentFileRow.repo_file)
    .load_only(RepoFileRow.hash_sha256)
)

# Where a file is: commit and path. A commit means the same in every repository that has it.
_Place = tuple[str, str]


class Models:
    """What the introspection of commits found."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def save(
        self,
        record_id: int,
        commit: str,
        models: Sequence[Model],
        evidence: Sequence[Evidence],
        warnings: Sequence[RepoWarning],
        *,
        reader: str | None = None,
    ) -> None:
        """Write down what was found in a commit, in place of what was known of it.

        What was found again keeps its row and its id. `reader` is a mark of who looked: what
        another one would find may differ.

        Raises:
            RevisionNotFound: for a commit that was never listed.
        """
        revision_id = self._lock(record_id, commit, warnings, reader)
        files = self._registered(revision_id, models)
        found = [
            _model_row(revision_id, position, model, files) for position, model in enumerate(models)
        ]
        replace_models(self._session, revision_id, found)
        facts = [
            FactRow(revision_id=revision_id, position=position, **dict(statement))
            for position, statement in enumerate(evidence)
        ]
        replace_facts(self._session, revision_id, facts)
        relist(self._session, record_id)
        self._session.expunge_all()  # these rows are whole only when they are read again

    def renew(
        self,
        record_id: int,
        commit: str,
        models: Sequence[Model],
        evidence: Sequence[Evidence],
        warnings: Sequence[RepoWarning],
    ) -> None:
        """Write down what follows from other repositories too, now that they are known. Nobody looked again.

        Raises:
            RevisionNotFound
        """
        mine = select(RevisionRow.reader).where(*_revision(record_id, commit))
        reader = self._session.scalar(mine)
        self.save(record_id, commit, models, evidence, warnings, reader=reader)
        touched = update(RepoRow).where(RepoRow.id == record_id).values(updated_at=utc_now())
        self._session.execute(touched)

    def is_known(self, record_id: int, commit: str) -> bool:
        """Whether anybody looked at what is in a commit."""
        looked = select(RevisionRow.id).where(
            *_revision(record_id, commit), RevisionRow.introspected_at.is_not(None)
        )
        return self._session.scalar(looked) is not None

    def report(self, record_id: int, commit: str) -> Report | None:
        """What was found in a commit; `None` if nobody looked.

        A file whose hash was not known then has it as soon as its bytes have been here.
        """
        found = (
            select(RevisionRow, RepoRow)
            .join(RepoRow, RevisionRow.model_repo_id == RepoRow.id)
            .where(*_revision(record_id, commit), RevisionRow.introspected_at.is_not(None))
        )
        pair = self._session.execute(found).first()
        if pair is None:
            return None
        revision, repo = pair
        return Report(
            repo=repo.model_repo_name,
            source=repo.source,
            commit=commit,
            license=revision.license,
            warnings=tuple(RepoWarning(**warning) for warning in revision.warnings),
            models=self._models(revision.id),
            facts=self._facts(revision.id),
        )

    def shared(self, record_id: int, report: Report) -> tuple[Sharing, ...]:
        """Which other repositories have bytes of the report's commit; see `registry.sharing`."""
        return sharings(self._session, record_id, report.commit, report.models)

    def _lock(
        self, record_id: int, commit: str, warnings: Sequence[RepoWarning], reader: str | None
    ) -> int:
        """The revision's row, marked as looked at; another transaction that does so waits."""
        marked = (
            update(RevisionRow)
            .where(*_revision(record_id, commit))
            .values(
                introspected_at=now(self._session),
                reader=reader,
                warnings=[warning.model_dump() for warning in warnings],
            )
        )
        revision_id: int | None = self._session.scalar(marked.returning(RevisionRow.id))
        if revision_id is None:
            raise RevisionNotFound(
                f"commit {commit} of repository {record_id} was never listed", field="commit"
            )
        return revision_id

    def _registered(self, revision_id: int, models: Iterable[Model]) -> Mapping[_Place, int]:
        """The rows of the models' files, as far as their revisions are registered."""
        known: dict[_Place, int] = {}
        for commit, paths in _places(models).items():
            found = select(RevisionRow.id).where(RevisionRow.commit_hash == commit)
            # A mirror may be registered too; of equals, this very revision comes first.
            first = found.order_by(RevisionRow.id != revision_id, RevisionRow.id).limit(1)
            if (home := self._session.scalar(first)) is None:
                continue
            for batch in batches(sorted(paths)):
                files = select(RepoFileRow.file_path, RepoFileRow.id).where(
                    RepoFileRow.revision_id == home, RepoFileRow.file_path.in_(batch)
                )
                known |= {(commit, path): number for path, number in self._session.execute(files)}
        return known

    def _models(self, revision_id: int) -> tuple[Model, ...]:
        found = select(ModelRow).where(ModelRow.revision_id == revision_id).options(_WHOLE)
        rows = self._session.scalars(found.order_by(ModelRow.position)).all()
        return tuple(map(_model, rows))

    def _facts(self, revision_id: int) -> tuple[Evidence, ...]:
        found = select(FactRow).where(FactRow.revision_id == revision_id).order_by(FactRow.position)
        return tuple(
            Evidence(
                subject=row.subject, key=row.key, value=row.value, evidence=row.evidence, trust=row.trust
            )
            for row in self._session.scalars(found)
        )


def _revision(record_id: int, commit: str) -> tuple[ColumnElement[bool], ...]:
    return RevisionRow.model_repo_id == record_id, RevisionRow.commit_hash == commit


def _places(models: Iterable[Model]) -> Mapping[str, set[str]]:
    """The paths of all files, by commit."""
    places: dict[str, set[str]] = {}
    for model in models:
        for variant in model.variants:
            for part, file in variant.files():
                if part.commit is not None:
                    places.setdefault(part.commit, set()).add(file.path)
    return places


def _model_row(revision_id: int, position: int, model: Model, files: Mapping[_Place, int]) -> ModelRow:
    precisions = dict.fromkeys(variant.precision for variant in model.variants if variant.precision)
    return ModelRow(
        revision_id=revision_id,
        position=position,
        model_name=model.name,
        category=model.category,
        task_type=model.task,
        subtask=model.subtask,
        architecture=model.architecture,
        context_length=model.context_length,
        parameters=model.parameters,
        available_precisions=list(precisions),
        details=model.details,
        status="ready",
        variants=[_variant_row(place, variant, files) for place, variant in enumerate(model.variants)],
    )


def _variant_row(position: int, variant: Variant, files: Mapping[_Place, int]) -> VariantRow:
    return VariantRow(
        position=position,
        variant_name=variant.name,
        format=variant.format,
        precision=variant.precision,
        parameters=variant.parameters,
        size_bytes=variant.bytes,
        status="ready",
        components=[_component_row(place, part, files) for place, part in enumerate(variant.components)],
    )


def _component_row(position: int, part: Component, files: Mapping[_Place, int]) -> ComponentRow:
    return ComponentRow(
        position=position,
        component_name=part.name,
        model_repo_name=part.repo,
        source=part.source,
        commit_hash=part.commit,
        folder=part.folder,
        format=part.format,
        precision=part.precision,
        parameters=part.parameters,
        files=[
            ComponentFileRow(
                position=place,
                file_path=file.path,
                size_bytes=file.size,
                hash_sha256=file.sha256,
                git_oid=file.git_oid,
                xet_hash=file.xet_hash,
                type=file.kind,
                repo_file_id=files.get((part.commit, file.path)) if part.commit else None,
            )
            for place, file in enumerate(part.files)
        ],
    )


def _model(row: ModelRow) -> Model:
    return Model(
        name=row.model_name,
        task=row.task_type,
        subtask=row.subtask,
        category=row.category,
        architecture=row.architecture,
        context_length=row.context_length,
        parameters=row.parameters,
        details=row.details,
        variants=tuple(map(_variant, row.variants)),
    )


def _variant(row: VariantRow) -> Variant:
    return Variant(
        name=row.variant_name,
        format=row.format,
        precision=row.precision,
        parameters=row.parameters,
        components=tuple(map(_component, row.components)),
    )


def _component(row: ComponentRow) -> Component:
    return Component(
        name=row.component_name,
        repo=row.model_repo_name,
        commit=row.commit_hash,
        source=row.source,
        files=tuple(map(_file, row.files)),
        folder=row.folder,
        format=row.format,
        precision=row.precision,
        parameters=row.parameters,
    )


def _file(row: ComponentFileRow) -> RepoFile:
    sha256 = row.hash_sha256 or (row.repo_file and row.repo_file.hash_sha256)
    return RepoFile(
        path=RepoPath(row.file_path),
        size=row.size_bytes,
        sha256=Digest(sha256) if sha256 else None,
        git_oid=row.git_oid,
        xet_hash=row.xet_hash,
        kind=FileKind(row.type),
    )
