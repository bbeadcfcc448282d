"""Under which licences a model is, as far as anything states it, and which of them a person refuses."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from modelhub.errors import InvalidInput
from modelhub.facts.base import Fact, JsonValue
from modelhub.facts.license_names import (
    COPYLEFT,
    NONCOMMERCIAL,
    UNNAMED,
    Stated,
    disagree,
    license_codes,
    license_id,
    license_names,
    may_be,
)
from modelhub.facts.model import Evidence, Model, Variant

__all__ = [
    "CONFLICT",
    "OTHER",
    "UNKNOWN",
    "LicensePolicy",
    "conflicts",
    "license_rows",
    "named",
    "rows_by_repository",
]

CONFLICT, UNKNOWN = "license.conflict", "license.unknown"
OTHER = "repository:"
"""What the subjects of statements about other repositories begin with, which a repository builds on."""
CODES = (COPYLEFT, NONCOMMERCIAL, CONFLICT, UNKNOWN)
TEXT = 80
"""Trust of a licence's own text: where that is none of the known ones, its `other` says so. The `other` of a
card or a header only says that nobody chose a name.
"""


def license_rows(
    facts: Iterable[Evidence], model: Model | None = None, variant: Variant | None = None
) -> tuple[Evidence, ...]:
    """The statements about the licence of a variant: its repository's, its model's, its folders'.

    Without a model those about anything in the repository.
    """
    rows = (row for row in facts if row.key == "license" and row.value)
    return tuple(row for row in rows if model is None or _is_about(row.subject, model, variant))


def _is_about(subject: str, model: Model, variant: Variant | None) -> bool:
    kind, _, name = subject.partition(":")
    if kind == "model":
        formats = {each.format for each in model.variants}
        rest = model.name.removeprefix(f"{name}-").partition("-")[0]
        return model.name == name or (model.name.startswith(f"{name}-") and rest in formats)
    if kind == "folder":
        return variant is None or any(file.path.startswith(f"{name}/") for _, file in variant.files())
    if kind == "repository" and name:
        return variant is None or any(part.repo == name for part in variant.components)
    return True


def rows_by_repository(
    rows: Iterable[Evidence], own: str, variant: Variant
) -> Mapping[str, tuple[Evidence, ...]]:
    """The statements of `license_rows` by the repository that they are about: each that the variant takes
    something of, first its `own`. Different works may have different licences.
    """
    found: dict[str, list[Evidence]] = {own: []}
    found |= {part.repo: [] for part in variant.components if part.repo != own}
    for row in rows:
        about = row.subject.removeprefix(OTHER) if row.subject.startswith(OTHER) else own
        found.setdefault(about, []).append(row)
    return {name: tuple(each) for name, each in found.items()}


def named(rows: Iterable[Evidence]) -> Mapping[str, str]:
    """The licences that are named, with what names each first; `other` only where a text is of none."""
    found: dict[str, str] = {}
    for row in rows:
        for name in license_names(row.value):
            if name not in UNNAMED or row.trust == TEXT:
                found.setdefault(name, row.evidence)
    return dict(sorted(found.items()))


def conflicts(rows: Iterable[Evidence]) -> bool:
    """Whether two of the statements cannot both be right."""
    stated = {Stated(license_names(row.value), row.trust == TEXT) for row in rows}
    return disagree(stated)


def _telling(names: Mapping[str, str]) -> Mapping[str, str]:
    """Without those that say less than another does: `other` and `apache` beside `apache-2.0`."""
    return {
        name: evidence
        for name, evidence in names.items()
        if not any(may_be(name, other) or name in UNNAMED for other in names.keys() - UNNAMED - {name})
    }


class LicensePolicy(Fact):
    """Which licences a Hub refuses to plan, fetch and run.

    `refuse` names codes: `license.copyleft license.noncommercial license.conflict license.unknown`;
    `deny` and `allow` licences by their SPDX ids, without case. With `allow`, every licence that is
    stated must be in it. The text of one is `refuse:CODE,CODE;allow:ID,ID;deny:ID`, and `parse` reads it.

    Raises:
        InvalidInput: naming what cannot be.
    """

    refuse: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()

    CLAUSES: ClassVar[tuple[str, ...]] = ("refuse", "allow", "deny")

    def __init__(self, /, **given: Any) -> None:
        if odd := given.keys() - set(self.CLAUSES):
            raise _wrong(f"there is no {min(odd)!r:.40}")
        super().__init__(**{name: _checked(name, value) for name, value in given.items()})

    @classmethod
    def parse(cls, text: object) -> "LicensePolicy":
        """The policy that a text names, or that was dumped; one that is one already is given back."""
        if isinstance(text, cls):
            return text
        if isinstance(text, dict):
            return cls(**text)
        if not isinstance(text, str):
            raise _wrong(f"{text!r:.80} is neither a text nor a LicensePolicy")
        clauses: dict[str, str] = {}
        for clause in filter(None, (part.strip() for part in text.split(";"))):
            name, colon, items = clause.partition(":")
            name = name.strip()
            if not colon or name not in cls.CLAUSES or name in clauses:
                raise _wrong(f"{clause!r:.80} is no clause, or a second one of its kind")
            clauses[name] = items
        return cls(**clauses)

    def __bool__(self) -> bool:
        return bool(self.refuse or self.allow or self.deny)

    def __str__(self) -> str:
        clauses = ((name, getattr(self, name)) for name in self.CLAUSES)
        return ";".join(f"{name}:{','.join(items)}" for name, items in clauses if items)

    def objections(self, rows: Sequence[Evidence]) -> Mapping[str, str]:
        """What speaks against a variant about whose licence `rows` are: a text for each code.

        The codes are those of `refuse`, `license.denied` and `license.not_allowed`.
        """
        conflict = conflicts(rows)
        names = named(rows) if conflict else _telling(named(rows))
        found: dict[str, list[str]] = {}
        for name, evidence in names.items():
            for code in self._against(name):
                found.setdefault(code, []).append(f"{name} ({evidence})")
        if CONFLICT in self.refuse and conflict:
            found[CONFLICT] = [f"{name} ({evidence})" for name, evidence in names.items()]
        if not names.keys() - UNNAMED and (UNKNOWN in self.refuse or self.allow):
            said = [f"{name} ({evidence})" for name, evidence in names.items()]
            found.setdefault(UNKNOWN if UNKNOWN in self.refuse else "license.not_allowed", said)
        return {code: ", ".join(dict.fromkeys(texts)) or "none stated" for code, texts in found.items()}

    def _against(self, name: str) -> Iterable[str]:
        yield from (code for code in license_codes(name) if code in self.refuse)
        if any(name == denied or may_be(name, denied) or may_be(denied, name) for denied in self.deny):
            yield "license.denied"
        if self.allow and name not in self.allow:
            yield "license.not_allowed"


def _checked(clause: str, value: JsonValue | Iterable[str]) -> tuple[str, ...]:
    """The items of a clause, as they compare."""
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, Iterable):
        raise _wrong(f"{clause} must be a list of texts, not {value!r:.60}")
    found = [_item(clause, item) for item in items]
    if isinstance(value, str) and not found:
        raise _wrong(f"{clause} names nothing")
    return tuple(dict.fromkeys(found))


def _item(clause: str, item: object) -> str:
    text = item.strip().lower() if isinstance(item, str) else ""
    if clause == "refuse" and text in CODES:
        return text
    if clause != "refuse" and (name := license_id(text)):
        return name
    known = f"one of {', '.join(CODES)}" if clause == "refuse" else "a licence's id, such as apache-2.0"
    raise _wrong(f"{clause}: {item!r:.60} is not {known}")


def _wrong(why: str) -> InvalidInput:
    return InvalidInput(
        f"license_policy: {why}",
        hint="Such as refuse:license.noncommercial,license.conflict or allow:apache-2.0,mit; "
        "a semicolon joins two. MODELHUB_LICENSE_POLICY sets it too.",
        field="license_policy",
    )
