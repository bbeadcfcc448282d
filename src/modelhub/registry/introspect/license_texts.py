"""Which licence a text is, by phrases that only this one has. Its lawyers are not replaced."""

import re
from collections.abc import Iterator

from modelhub.facts import Evidence, RepoListing
from modelhub.refs import RepoPath
from modelhub.registry.introspect.base import FROM_CONFIG, Metadata

__all__ = ["license_of", "text_evidence"]

MAX_TEXT = 256 << 10
"""A longer file is no licence: its first bytes are not even looked at."""
MAX_FILES = 32

_FILE = re.compile(r"(?:licen[cs]e|copying)(?:\.(?:md|txt))?")
_BLANK = re.compile(r"[\s#*_>=-]+")

_PHRASES = (
    ("apache-2.0", r"apache license,? version 2\.0"),
    ("mit", r"any person obtaining a copy of this software and associated documentation files"),
    ("bsd", r"redistribution and use in source and binary forms, with or without modification"),
    ("agpl-3.0", r"gnu affero general public license version 3"),
    ("gpl-3.0", r"gnu general public license version 3, 29 june 2007"),
    ("gpl-2.0", r"gnu general public license version 2, june 1991"),
    ("lgpl-3.0", r"gnu lesser general public license version 3, 29 june 2007"),
    ("lgpl-2.1", r"gnu lesser general public license version 2\.1, february 1999"),
    ("cc0-1.0", r"cc0 1\.0 universal|creativecommons\.org/publicdomain/zero/1\.0"),
    ("bigscience-openrail-m", r"bigscience open ?rail m"),
    ("bigcode-openrail-m", r"bigcode open ?rail m"),
    ("creativeml-openrail-m", r"creativeml open ?rail m"),
    ("openrail++", r"creativeml open ?rail\+\+ ?m"),
    ("openrail", r"\bopen ?rail\b"),
    ("gemma", r"gemma terms of use"),
)
_KNOWN = tuple((name, re.compile(phrase)) for name, phrase in _PHRASES)
_CREATIVE = re.compile(
    r"\battribution(?P<parts>(?: (?:noncommercial|sharealike|noderivatives|noderivs))*)"
    r" (?P<version>[1-4]\.\d) (?:international|unported|generic)"
    r"|creativecommons\.org/licenses/(?P<short>by(?: (?:nc|sa|nd))*)/(?P<number>[1-4]\.\d)"
)
_SHORT = {"noncommercial": "nc", "sharealike": "sa", "noderivatives": "nd", "noderivs": "nd"}
_LLAMA = re.compile(r"llama (?P<version>\d(?:\.\d)?) community license")
_LIMITED = re.compile(r"non ?commercial|commons clause|modified mit")
"""Words of those who add to a licence that gives more."""
_GENEROUS = frozenset({"apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause"})


def text_evidence(listing: RepoListing, metadata: Metadata) -> Iterator[Evidence]:
    """What licence files say: one at the root of the repository, one in a folder of what is in that."""
    files = [file for file in listing.files if _FILE.fullmatch(file.path.name.lower())]
    files.sort(key=lambda file: (file.path.count("/"), file.path))
    for file in files[:MAX_FILES]:
        data = metadata.files.get(file.path)
        if data is None:
            continue
        name = license_of(data)
        how = "text" if name != "other" else "a text that is none of the known ones"
        yield Evidence(
            subject=_subject(file.path),
            key="license",
            value=name,
            evidence=f"{file.path}: {how}",
            trust=FROM_CONFIG,
        )


def _subject(path: RepoPath) -> str:
    return f"folder:{path.folder}" if path.folder else "repository"


def license_of(data: bytes) -> str:
    """The licences whose texts these bytes hold, joined by commas; `other` for none that is known."""
    if len(data) > MAX_TEXT:
        return "other"
    text = _BLANK.sub(" ", data.decode("utf-8", "replace").lower())
    found = dict.fromkeys(_found(text))
    if "openrail" in found and any("openrail" in name for name in found if name != "openrail"):
        del found["openrail"]
    if _GENEROUS & found.keys() and _LIMITED.search(text):
        found = dict.fromkeys(name for name in found if name not in _GENEROUS)
    return ", ".join(sorted(found)) or "other"


def _found(text: str) -> Iterator[str]:
    for name, phrase in _KNOWN:
        if phrase.search(text):
            yield name if name != "bsd" else _bsd(text)
    for match in _CREATIVE.finditer(text):
        parts = [_SHORT[part] for part in (match["parts"] or "").split()]
        short = match["short"].replace(" ", "-") if match["short"] else "-".join(["by", *parts])
        yield f"cc-{short}-{match['version'] or match['number']}"
    yield from (f"llama{match['version']}" for match in _LLAMA.finditer(text))


def _bsd(text: str) -> str:
    if "all advertising materials" in text:
        return "bsd-4-clause"
    return "bsd-3-clause" if "neither the name" in text else "bsd-2-clause"
