"""What every introspector must do, as tests to inherit.

Give the class of your tests two methods, and pytest (or unittest) finds the rest::

    class TestMyIntrospector(IntrospectorContract):
        def make_introspector(self) -> Introspector: ...
        def samples(self) -> Sequence[Sample]: ...

A sample is a repository that the introspector knows; `build_sample` makes one of its small files.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import get_ident
from types import MappingProxyType
from typing import Any, NamedTuple

from modelhub.facts import RepoFile, RepoId, RepoListing
from modelhub.refs import RepoPath
from modelhub.registry.introspect import FAMILIES
from modelhub.registry.introspect.base import Findings, Metadata
from modelhub.registry.introspect.checking import HEADERS, find_fault, wanted_fault
from modelhub.registry.introspect.plugin import API_VERSION, Introspector

__all__ = ["IntrospectorContract", "Sample", "build_sample"]

_GARBAGE = (
    b"",
    b"\x00\xff\xfe",
    b"null",
    b"[]",
    b"{}",
    b"5",
    b'"text"',
    b"{",
    b"[" * 5000,
    b'{"a": 1e999}',
    b"\xef\xbb\xbf{}",
    b"x" * 100_000,
)
_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    1 << 70,
    1.5,
    "",
    "\ud800",
    "x\x00y",
    "../../etc/passwd",
    "x" * 70_000,
    [],
    [None, [[]]],
    {},
    {"": {"": None}},
)
_NAMES = ("README.md", "a b/ü.json", "x" * 100 + ".bin", "deep/" * 20 + "model.json", "config.json")
_FORBIDDEN = re.compile(
    r"open|os\.(?:listdir|scandir|system|exec|posix_spawn|fork)|socket\..*|subprocess\..*"
)


class Sample(NamedTuple):
    """A repository, and what was read of it."""

    listing: RepoListing
    metadata: Metadata


def build_sample(files: Mapping[str, bytes | int], name: str = "tiny", **facts: Any) -> Sample:
    """A repository `zoo/name` with these files: the bytes of small ones, which were read, and the sizes of
    others. `facts` are further fields of its listing.
    """
    listing = RepoListing(
        repo=RepoId(source="huggingface", vendor="zoo", name=name),
        commit="0" * 40,
        revision="main",
        files=tuple(
            RepoFile(path=RepoPath(path), size=data if isinstance(data, int) else len(data))
            for path, data in files.items()
        ),
        source_uri=f"https://example.org/zoo/{name}",
        **facts,
    )
    return Sample(
        listing, Metadata(files={path: data for path, data in files.items() if isinstance(data, bytes)})
    )


class IntrospectorContract:
    """Inherit and fill in; every `test_` method then drives your introspector."""

    def make_introspector(self) -> Introspector:
        """An introspector, new for each test."""
        raise NotImplementedError

    def samples(self) -> Sequence[Sample]:
        """At least one repository that the introspector knows, with all that it asks for."""
        raise NotImplementedError

    def test_class_attributes(self) -> None:
        made = self.make_introspector()
        assert made.api_version == API_VERSION
        assert re.fullmatch(r"[a-z][a-z0-9_-]*", made.name), made.name
        assert made.name not in {family.name for family in FAMILIES}, "that is one of modelhub's"

    def test_it_knows_its_samples_and_not_every_repository(self) -> None:
        made = self.make_introspector()
        assert self.samples()
        assert all(made.matches(sample.listing) is True for sample in self.samples())
        for other in (build_sample({}), build_sample({"README.md": b"# Tiny"})):
            assert made.matches(other.listing) is False

    def test_models_are_found_and_can_be_believed(self) -> None:
        for sample in self.samples():
            found = self._described(sample)
            assert found.models, f"no model in {sample.listing.repo.id}"

    def test_each_task_has_evidence(self) -> None:
        for sample in self.samples():
            found = self.make_introspector().describe(*sample)
            for model in found.models:
                rows = [row for row in found.evidence if row.subject == f"model:{model.name}"]
                said = [row.evidence for row in rows if (row.key, row.value) == ("task", model.task)]
                assert any(said), f"nothing says that {model.name} is for {model.task}"

    def test_what_it_wants_is_there(self) -> None:
        made = self.make_introspector()
        for listing, _ in self.samples():
            assert wanted_fault(made.files_wanted(listing), listing) == ""
            assert wanted_fault(made.headers_wanted(listing), listing, HEADERS) == ""

    def test_the_same_gives_the_same(self) -> None:
        made = self.make_introspector()
        for sample in self.samples():
            found = self._described(sample)
            assert found == self._described(sample)
            assert found == made.describe(*sample) == made.describe(*sample)

    def test_threads_may_share_it(self) -> None:
        made, samples = self.make_introspector(), self.samples()
        alone = [made.describe(*sample) for sample in samples] * 8
        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(lambda sample: made.describe(*sample), [*samples] * 8)) == alone

    def test_it_opens_nothing(self) -> None:
        made, samples = self.make_introspector(), self.samples()
        for sample in samples:
            made.describe(*sample)  # what it imports late is imported now
        with_hook = _Watch()
        for listing, metadata in samples:
            made.matches(listing)
            made.files_wanted(listing)
            made.headers_wanted(listing)
            made.describe(listing, metadata)
        assert with_hook.end() == []

    def test_it_changes_nothing_that_it_is_given(self) -> None:
        made = self.make_introspector()
        for listing, metadata in self.samples():
            frozen = Metadata(MappingProxyType(metadata.files), MappingProxyType(metadata.headers))
            before = listing.model_dump_json()
            made.describe(listing, frozen)
            assert listing.model_dump_json() == before

    def test_what_was_not_read_is_no_error(self) -> None:
        for listing, metadata in self.samples():
            self._described(Sample(listing, Metadata()))
            self._described(Sample(listing, replace(metadata, headers={})))
            for path in metadata.files:
                rest = {name: data for name, data in metadata.files.items() if name != path}
                self._described(Sample(listing, replace(metadata, files=rest)))

    def test_garbage_is_no_error(self) -> None:
        for listing, metadata in self.samples():
            for path in metadata.files:
                for data in _GARBAGE:
                    files = {**metadata.files, path: data}
                    self._described(Sample(listing, replace(metadata, files=files)))

    def test_values_of_another_kind_are_no_error(self) -> None:
        for listing, metadata in self.samples():
            for path, data in metadata.files.items():
                for changed in _changed(data):
                    files = {**metadata.files, path: changed}
                    self._described(Sample(listing, replace(metadata, files=files)))

    def test_odd_listings_are_no_error(self) -> None:
        for listing, metadata in self.samples():
            odd = tuple(RepoFile(path=RepoPath(name), size=0) for name in _NAMES)
            many = tuple(RepoFile(path=RepoPath(f"x/{n}.bin"), size=1) for n in range(20_000))
            taken = {file.path for file in listing.files}
            for more in (odd, many):
                files = (*listing.files, *(file for file in more if file.path not in taken))
                self._described(Sample(listing.model_copy(update={"files": files}), metadata))
            for count in range(len(listing.files)):
                part = listing.model_copy(update={"files": listing.files[:count]})
                self._described(Sample(part, metadata))

    def _described(self, sample: Sample) -> Findings:
        """What is found, which must not raise and be such as modelhub accepts."""
        made = self.make_introspector()
        listing = RepoListing(
            **dict(sample.listing)
        )  # copied, since it remembers its files by their paths
        if not made.matches(listing):
            return Findings()
        for wanted, suffixes in ((made.files_wanted, ("",)), (made.headers_wanted, HEADERS)):
            assert wanted_fault(wanted(listing), listing, suffixes) == ""
        found = made.describe(listing, sample.metadata)
        assert find_fault(found, listing) == ""
        return found


class _Watch:
    """What this thread opens while it is looked at; a hook of the interpreter's stays, and then does nothing."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._thread: int | None = get_ident()
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if get_ident() == self._thread and _FORBIDDEN.fullmatch(event):
            self.seen.append(f"{event} {arguments!r:.200}")

    def end(self) -> list[str]:
        self._thread = None
        return self.seen


def _changed(data: bytes) -> Iterator[bytes]:
    """A JSON file with each of its values in turn put in place by each odd one; none for other files."""
    try:
        whole = json.loads(data)
    except ValueError:
        return
    for place in list(_places(whole))[:200]:
        for value in _VALUES:
            yield json.dumps(_put(whole, place, value)).encode()


def _places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield above
    inner = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, each in inner:
        yield from _places(each, (*above, key))


def _put(whole: Any, place: tuple[Any, ...], value: Any) -> Any:
    if not place:
        return value
    key, *rest = place
    copy = dict(whole) if isinstance(whole, dict) else list(whole)
    copy[key] = _put(whole[key], tuple(rest), value)
    return copy
