"""Commits of a repository: how its source listed them, what branches and tags meant."""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, or_, select, update
from sqlalchemy import insert as plain_insert
from sqlalchemy.orm import Session

from modelhub.errors import IntegrityError, RepositoryNotFound, RevisionNotFound
from modelhub.facts import FileKind, RepoFile, RepoId, RepoListing, RepoRef
from modelhub.refs import Digest, RepoPath
from modelhub.registry.artifacts import link_files
from modelhub.registry.listed import relist
from modelhub.registry.statements import batches, insert, now
from modelhub.registry.tables import RefRow, RepoFileRow, RepoRow, RevisionRow

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?\Z")
_SHORT = re.compile(r"[0-9a-f]{7,63}\Z")

# Built once: that takes SQLAlchemy as long as the database takes to answer.
_HEAD = select(RepoRow.git_head).where(RepoRow.id == bindparam("record"))
_MEANT = (
    select(RevisionRow.commit_hash)
    .join(RefRow, RefRow.revision_id == RevisionRow.id)
    .where(RefRow.model_repo_id == bindparam("record"), RefRow.name == bindparam("name"))
    .order_by(RefRow.id.desc())
    .limit(1)
)


class Revisions:
    """The commits that were listed. A commit never changes; what is learnt of its files is added."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def save(self, record_id: int, listing: RepoListing) -> None:
        """Write down how the source lists a commit, and that `listing.revision` means it now.

        Saving a commit again adds hashes that were not known.

        Raises:
            RepositoryNotFound
            IntegrityError: when the source lists other files for this commit than it did before.
        """
        repo = self._session.get(RepoRow, record_id)
        if repo is None:
            raise RepositoryNotFound(f"no repository has the number {record_id}", field="record")
        moment = now(self._session)
        revision_id = self._insert_revision(record_id, listing)
        if revision_id is not None:
            self._insert_files(record_id, revision_id, listing.files)
        else:
            revision_id = self._revision_id(record_id, listing.commit)
            self._renew(revision_id, listing)
        if not _is_commit(listing.revision, listing.commit):
            self._note_ref(record_id, revision_id, listing.revision, moment)
        self._update_repo(repo, listing, moment)

    def resolve(self, record_id: int, revision: str | None) -> str | None:
        """The commit that `revision` means as far as is known here; `None` if nothing does.

        `None` means the default branch when it was last synced. Otherwise a whole commit, the
        newest meaning of a branch or tag, or the first seven or more digits of one commit, in
        this order, as git does.
        """
        if revision is None:
            return self._session.scalar(_HEAD, {"record": record_id})
        commit = revision.lower()
        if _COMMIT.match(commit) and (found := self._commits(record_id, commit, commit)):
            return found[0]
        if (meant := self._session.scalar(_MEANT, {"record": record_id, "name": revision})) is not None:
            return meant
        found = self._commits(record_id, commit, commit + "g") if _SHORT.match(commit) else ()
        return found[0] if len(found) == 1 else None

    def refs(self, record_id: int) -> tuple[tuple[str, str], ...]:
        """Branches and tags with their commits, those that moved last first."""
        newest = (
            select(func.max(RefRow.id)).where(RefRow.model_repo_id == record_id).group_by(RefRow.name)
        )
        pairs = (
            select(RefRow.name, RevisionRow.commit_hash)
            .join(RevisionRow, RefRow.revision_id == RevisionRow.id)
            .where(RefRow.id.in_(newest))
            .order_by(RefRow.id.desc())
        )
        return tuple((name, commit) for name, commit in self._session.execute(pairs))

    def history(self, record_id: int, limit: int) -> tuple[RepoRef, ...]:
        """What branches and tags have meant, and when; the latest first, at most `limit`."""
        rows = (
            select(RefRow, RevisionRow.commit_hash)
            .join(RevisionRow, RefRow.revision_id == RevisionRow.id)
            .where(RefRow.model_repo_id == record_id)
            .order_by(RefRow.id.desc())
            .limit(limit)
        )
        return tuple(
            RepoRef(
                name=row.name,
                commit=commit,
                first_seen_at=row.first_seen_at,
                last_seen_at=row.last_seen_at,
            )
            for row, commit in self._session.execute(rows)
        )

    def listing(
        self, record_id: int, commit: str, paths: Iterable[str] | None = None
    ) -> RepoListing | None:
        """A commit as its source listed it, with the hashes learnt since; `None` if it never did.

        With `paths` it has only those of these files that are in it.
        """
        found = (
            select(RevisionRow, RepoRow)
            .join(RepoRow, RevisionRow.model_repo_id == RepoRow.id)
            .where(RevisionRow.model_repo_id == record_id, RevisionRow.commit_hash == commit)
        )
        pair = self._session.execute(found).first()
        if pair is None:
            return None
        revision, repo = pair
        files = select(RepoFileRow).where(RepoFileRow.revision_id == revision.id)
        asked = [None] if paths is None else batches(sorted(set(paths)))
        rows = [
            row
            for batch in asked
            for row in self._session.scalars(
                files if batch is None else files.where(RepoFileRow.file_path.in_(batch))
            )
        ]
        rows.sort(key=lambda row: row.position)
        return _listing(repo, revision, tuple(map(_file, rows)))

    def files_of_kind(
        self, record_id: int, commit: str, kinds: Iterable[FileKind], largest: int
    ) -> tuple[RepoFile, ...]:
        """The files of a commit that are of one of these kinds and have at most `largest` bytes."""
        found = (
            select(RepoFileRow)
            .join(RevisionRow, RepoFileRow.revision_id == RevisionRow.id)
            .where(
                RevisionRow.model_repo_id == record_id,
                RevisionRow.commit_hash == commit,
                RepoFileRow.type.in_(tuple(kinds)),
                RepoFileRow.size_bytes <= largest,
            )
            .order_by(RepoFileRow.position)
        )
        return tuple(map(_file, self._session.scalars(found)))

    def reader(self, record_id: int, listing: RepoListing) -> str | None:
        """Who looked last at what is in this commit; `None` if nobody did since it is described so."""
        found = select(RevisionRow).where(
            RevisionRow.model_repo_id == record_id, RevisionRow.commit_hash == listing.commit
        )
        row = self._session.scalars(found).first()
        if row is None or row.introspected_at is None:
            return None
        told = _told(listing)
        return row.reader if told == {name: getattr(row, name) for name in told} else None

    def set_digests(self, record_id: int, commit: str, digests: Mapping[str, Digest]) -> None:
        """Note what was computed from the bytes of files, by their paths.

        Raises:
            RevisionNotFound, FileNotInRepository
        """
        revision_id = self._revision_id(record_id, commit)
        for batch in batches(digests.items()):
            link_files(self._session, revision_id, dict(batch))

    def holders(self, digest: Digest) -> tuple[tuple[RepoId, RepoPath], ...]:
        """The repositories that hold these bytes, in any revision, and the paths there."""
        found = (
            select(RepoRow.source, RepoRow.model_vendor, RepoRow.model_name, RepoFileRow.file_path)
            .join(RepoRow, RepoFileRow.model_repo_id == RepoRow.id)
            .where(
                or_(RepoFileRow.hash_sha256 == digest, RepoFileRow.lfs_sha256 == digest),
                RepoRow.deleted_at.is_(None),
            )
            .distinct()
            .order_by(RepoRow.model_vendor, RepoRow.model_name, RepoRow.source, RepoFileRow.file_path)
        )
        return tuple(
            (RepoId(source=source, vendor=vendor, name=name), RepoPath(path))
            for source, vendor, name, path in self._session.execute(found)
        )

    def _commits(self, record_id: int, low: str, high: str) -> Sequence[str]:
        """Two commits at most between `low` and `high`, which is what a prefix is to an index."""
        between = select(RevisionRow.commit_hash).where(
            RevisionRow.model_repo_id == record_id, RevisionRow.commit_hash.between(low, high)
        )
        return self._session.scalars(between.limit(2)).all()

    def _revision_id(self, record_id: int, commit: str) -> int:
        mine = select(RevisionRow.id).where(
            RevisionRow.model_repo_id == record_id, RevisionRow.commit_hash == commit
        )
        found = self._session.scalar(mine)
        if found is None:
            raise RevisionNotFound(
                f"commit {commit} of repository {record_id} was never listed", field="commit"
            )
        return found

    def _insert_revision(self, record_id: int, listing: RepoListing) -> int | None:
        new = insert(self._session, RevisionRow).values(
            model_repo_id=record_id, commit_hash=listing.commit, warnings=[], **_described(listing)
        )
        return self._session.scalar(new.on_conflict_do_nothing().returning(RevisionRow.id))

    def _insert_files(self, record_id: int, revision_id: int, files: Sequence[RepoFile]) -> None:
        rows = [
            {
                "model_repo_id": record_id,
                "revision_id": revision_id,
                "position": position,
                "file_path": file.path,
                "size_bytes": file.size,
                "lfs_sha256": file.sha256,
                "git_oid": file.git_oid,
                "xet_hash": file.xet_hash,
                "type": file.kind,
            }
            for position, file in enumerate(files)
        ]
        if rows:
            self._session.execute(plain_insert(RepoFileRow), rows)

    def _renew(self, revision_id: int, listing: RepoListing) -> None:
        described = (
            update(RevisionRow).where(RevisionRow.id == revision_id).values(**_described(listing))
        )
        self._session.execute(described)
        rows = self._session.scalars(select(RepoFileRow).where(RepoFileRow.revision_id == revision_id))
        before = {row.file_path: row for row in rows}
        if before.keys() != listing.by_path.keys():
            odd = min(before.keys() ^ listing.by_path.keys())
            raise _changed(listing, odd, "is listed only sometimes")
        changes = [
            {"id": before[file.path].id, **news}
            for file in listing.files
            if (news := _news(before[file.path], file, listing))
        ]
        if changes:
            self._session.execute(update(RepoFileRow), changes)

    def _note_ref(self, record_id: int, revision_id: int, name: str, moment: datetime) -> None:
        newest = (
            select(RefRow)
            .where(RefRow.model_repo_id == record_id, RefRow.name == name)
            .order_by(RefRow.id.desc())
            .limit(1)
        )
        row = self._session.scalars(newest).first()
        if row is not None and row.revision_id == revision_id:
            row.last_seen_at = moment
        else:
            row = RefRow(
                model_repo_id=record_id,
                revision_id=revision_id,
                name=name,
                first_seen_at=moment,
                last_seen_at=moment,
            )
            self._session.add(row)
        self._session.flush()  # the newest row is looked for again within this transaction

    def _update_repo(self, repo: RepoRow, listing: RepoListing, moment: datetime) -> None:
        if (repo.source, repo.vendor_key, repo.name_key) == listing.repo.key:
            repo.model_repo_name = listing.repo.id
            repo.model_vendor = listing.repo.vendor
            repo.model_name = listing.repo.name
        moved = listing.revision == listing.default_branch and repo.git_head != listing.commit
        if listing.revision == listing.default_branch:
            repo.default_branch = listing.default_branch
            repo.git_head = listing.commit
            repo.framework = listing.library_name
            repo.last_synced_at = moment
            repo.details = {
                "gated": listing.gated,
                "private": listing.private,
                "pipeline_tag": listing.pipeline_tag,
                "license": listing.license,
                "tags": list(listing.tags),
            }
        self._session.flush()  # statements that do not go through these rows follow
        if moved:
            relist(self._session, repo.id)


def _is_commit(revision: str, commit: str) -> bool:
    """Whether a revision is the commit itself or its first digits, so that no name has to be noted."""
    digits = revision.lower()
    return digits == commit or (_SHORT.match(digits) is not None and commit.startswith(digits))


def _described(listing: RepoListing) -> dict[str, Any]:
    """What a source may say otherwise of the same commit, later."""
    return {
        "revision": listing.revision,
        "default_branch": listing.default_branch,
        "source_uri": listing.source_uri,
        "last_modified": listing.last_modified,
        **_told(listing),
    }


def _told(listing: RepoListing) -> dict[str, Any]:
    """What is believed of a repository rests on this, besides its files."""
    return {
        "license": listing.license,
        "pipeline_tag": listing.pipeline_tag,
        "library_name": listing.library_name,
        "tags": list(listing.tags),
        "gated": listing.gated,
        "private": listing.private,
        "details": listing.card,
    }


def _news(row: RepoFileRow, file: RepoFile, listing: RepoListing) -> dict[str, Any]:
    """The columns of `row` that were empty and are known now; a contradiction is refused."""
    known = row.hash_sha256 or row.lfs_sha256
    said: dict[str, tuple[str | int | None, str | int | None]] = {
        "size": (row.size_bytes, file.size),
        "sha256": (known, file.sha256),
        "git id": (row.git_oid, file.git_oid),
    }
    for what, (before, after) in said.items():
        if None not in (before, after) and before != after:
            raise _changed(listing, file.path, f"had the {what} {before}, and has {after}")
    offered = {"lfs_sha256": file.sha256, "git_oid": file.git_oid, "xet_hash": file.xet_hash}
    if known:
        del offered["lfs_sha256"]
    return {name: value for name, value in offered.items() if value and not getattr(row, name)}


def _changed(listing: RepoListing, path: str, how: str) -> IntegrityError:
    return IntegrityError(
        f"{listing.repo.id} at {listing.commit[:12]} is not what it was: {path!r} {how}",
        hint="A commit cannot change. The source, or something on the way to it, is not to be trusted.",
        path=path,
    )


def _listing(repo: RepoRow, revision: RevisionRow, files: tuple[RepoFile, ...]) -> RepoListing:
    return RepoListing(
        repo=RepoId(source=repo.source, vendor=repo.model_vendor, name=repo.model_name),
        commit=revision.commit_hash,
        revision=revision.revision,
        default_branch=revision.default_branch,
        files=files,
        source_uri=revision.source_uri,
        card=revision.details,
        tags=tuple(revision.tags),
        pipeline_tag=revision.pipeline_tag,
        library_name=revision.library_name,
        license=revision.license,
        gated=revision.gated,
        private=revision.private,
        last_modified=revision.last_modified,
    )


def _file(row: RepoFileRow) -> RepoFile:
    sha256 = row.hash_sha256 or row.lfs_sha256
    return RepoFile(
        path=RepoPath(row.file_path),
        size=row.size_bytes,
        sha256=Digest(sha256) if sha256 else None,
        git_oid=row.git_oid,
        xet_hash=row.xet_hash,
        kind=FileKind(row.type),
    )
