"""A case as a repository: its files with what stands in them, its listing, its headers."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from hashlib import sha256
from typing import Any

import yaml  # type: ignore[import-untyped]  # huggingface_hub brings it, without its types

from modelhub.facts import FileKind, RepoFile, RepoId, RepoListing, Report
from modelhub.jobs.headers import read_headers
from modelhub.refs import Digest, RepoPath
from modelhub.registry.introspect import FAMILIES, Metadata, introspect, metadata_wanted
from modelhub.sources.cards import card_facts, clean_card
from tests.zoo.hub_server.content import File, git_blob_sha1, listed_file
from tests.zoo.hub_server.sparse import Sparse

from .case import Case, Document, Listed, expand
from .weights import make_weights, shard_index

CARD = "README.md"
_HASHED = 10_000_000  # bytes; the hub keeps larger files, and all weights, by their sha256


class Rebuilt:
    """The repository of a case. Small files are filled up to their size with what readers pass over."""

    def __init__(self, case: Case) -> None:
        self.case = case

    @cached_property
    def files(self) -> Mapping[str, File]:
        """What a server serves, by path."""
        return {path: self._file(path, listed) for path, listed in sorted(self._listed.items())}

    @cached_property
    def listing(self) -> RepoListing:
        """As a source would describe it."""
        vendor, _, name = self.case.repo.rpartition("/")
        card = clean_card(self.case.card or {}, self.case.repo)
        facts = card_facts(card)
        return RepoListing(
            repo=RepoId(source="huggingface", vendor=vendor, name=name),
            commit=self.case.commit,
            revision="main",
            files=tuple(_repo_file(file) for file in self.files.values()),
            source_uri=f"https://huggingface.co/{self.case.repo}",
            card=card,
            tags=tuple(tag for tag in (facts.library_name, *facts.tags) if tag),
            pipeline_tag=facts.pipeline_tag,
            library_name=facts.library_name,
            license=facts.license,
            gated=self.case.gated,
        )

    @cached_property
    def metadata(self) -> Metadata:
        """What a sync would read of it.

        Raises:
            ValueError: when a weight file, whose header is wanted, has none.
        """
        small = {file.path: self._bytes(file.path) for file in metadata_wanted(self.listing.files)}
        found = read_headers(self, self.listing, _Nobody(), FAMILIES)
        if found.damaged:
            raise ValueError(f"{self.case.repo}: these need a header: {sorted(found.damaged)}")
        return replace(found, files=small)

    def read(self, listing: RepoListing, file: RepoFile, start: int, end: int) -> bytes:
        """A range of a file, as a source reads it."""
        content = self.files[file.path].source
        assert isinstance(content, Sparse)
        return content.read(start, end)

    @cached_property
    def report(self) -> Report:
        """What is found in it, without a hub."""
        found = introspect(self.listing, self.metadata)
        return Report(
            repo=self.case.repo,
            source="huggingface",
            commit=self.case.commit,
            license=self.listing.license,
            warnings=found.warnings,
            models=found.models,
            facts=found.evidence,
        )

    @property
    def weight_bytes(self) -> int:
        return sum(file.size for file in self.files.values() if file.lfs)

    @cached_property
    def _listed(self) -> Mapping[str, Listed]:
        listed = {file.path: file for file in self.case.files}
        if self.case.card_evidence and CARD not in listed:
            listed[CARD] = Listed(path=CARD, evidence=self.case.card_evidence)
        return listed

    def _bytes(self, path: str) -> bytes:
        file = self.files[path]
        assert isinstance(file.source, Sparse)
        return file.source.read(0, file.size)

    def _file(self, path: str, listed: Listed) -> File:
        content = self._content(path, listed)
        if listed.kind == FileKind.MODEL:
            stand_in = sha256(f"{self.case.repo}/{path}".encode()).hexdigest()
            return listed_file(path, content, listed.sha256 or stand_in)
        large = content.size >= _HASHED
        return listed_file(
            path, content, sha256(content.read(0, content.size)).hexdigest() if large else None
        )

    def _content(self, path: str, listed: Listed) -> Sparse:
        if header := self.case.header(path):
            if listed.size is None:
                raise ValueError(f"{self.case.repo}: {path} has a header, so it needs a size")
            return make_weights(header, listed.size)
        if document := self.case.documents.get(path):
            spellings = self._document(path, document)
            if document.exact:
                return Sparse((_exactly(path, spellings, document.exact),))
            return _filled(path, spellings, listed.size)
        if path == CARD and self.case.card is not None:
            front = yaml.safe_dump(dict(self.case.card), sort_keys=False, allow_unicode=True)
            return _filled(path, [f"---\n{front}---\n"], listed.size)
        if listed.size is None:
            raise ValueError(f"{self.case.repo}: {path} needs a size, a document or a header")
        if listed.kind == FileKind.MODEL:
            return Sparse((listed.size,))
        return _filled(path, ["{}" if path.endswith(".json") else ""], listed.size)

    def _document(self, path: str, document: Document) -> list[str]:
        if document.text is not None:
            return [document.text]
        content = document.content
        if document.index is not None:
            folder = path.rpartition("/")[0]
            names = [name for group in document.index for name in expand(group)]
            content = shard_index(dict(self._shards(folder, names)))
        # Of the spellings of a value the first that is not longer than the file is.
        pretty = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        return [
            pretty,
            pretty.rstrip("\n"),
            json.dumps(content, separators=(",", ":"), ensure_ascii=False),
        ]

    def _shards(self, folder: str, names: list[str]) -> Iterator[tuple[str, Any]]:
        for name in names:
            header = self.case.header(f"{folder}/{name}" if folder else name)
            if header is None:
                raise ValueError(f"{self.case.repo}: the index names {name}, which has no header")
            yield name, header


class _Nobody:
    """Who is told of progress here."""

    def progress(self, *what: object, **more: object) -> None:
        pass


def _exactly(path: str, spellings: list[str], known: str) -> bytes:
    """The spelling that has the hash."""
    for data in (spelling.encode() for spelling in spellings):
        if known in (f"sha256:{sha256(data).hexdigest()}", f"git:{git_blob_sha1(data)}"):
            return data
    raise ValueError(f"{path}: no spelling of its content has the hash {known}")


def _filled(path: str, spellings: list[str], size: int | None) -> Sparse:
    """The first spelling that fits, with line feeds behind it up to the size."""
    texts = [spelling.encode() for spelling in spellings]
    if size is None:
        return Sparse((texts[0],))
    for text in texts:
        if len(text) <= size:
            return Sparse((text + b"\n" * (size - len(text)),))
    raise ValueError(f"{path}: its content takes {len(texts[-1]):,} bytes; the file has {size:,}")


def _repo_file(file: File) -> RepoFile:
    return RepoFile(
        path=RepoPath(file.path),
        size=file.size,
        sha256=Digest(file.sha256) if file.lfs else None,
        git_oid=file.oid,
    )
