"""Refuses what the Hub's licence policy refuses, before anything is fetched."""

from collections.abc import Mapping
from dataclasses import dataclass

from modelhub.errors import LicenseRefused
from modelhub.facts import LicensePolicy, Model, Plan, Report, RepoWarning, Variant
from modelhub.facts.licenses import license_rows, named, rows_by_repository

REFUSED = "license.refused"
"""The code of the warning on a plan that cannot be carried out for its licence."""


@dataclass(frozen=True, slots=True)
class LicenseGate:
    """Lets through what no licence speaks against, by all that is known of each variant's."""

    policy: LicensePolicy

    def refusal(self, report: Report, model: Model, variant: Variant) -> LicenseRefused | None:
        """Why a variant may not be used; `None` where it may."""
        rows = license_rows(report.facts, model, variant)
        objections = self._objections(report, model, variant)
        if not objections:
            return None
        why = "; ".join(f"{code}: {text}" for code, text in objections.items())
        return LicenseRefused(
            f"the licence policy refuses {report.repo}:{variant.name}: {why}",
            hint=_hint(report, self._allowed(report, model)),
            codes=list(objections),
            licenses=list(named(rows)),
            policy=str(self.policy),
        )

    def admit(self, report: Report, plan: Plan) -> None:
        """Let a plan pass.

        Raises:
            LicenseRefused
        """
        if (refused := self.refusal(report, plan.model, plan.choice)) is not None:
            raise refused

    def admitted(self, report: Report) -> list[Variant]:
        """The variants of a repository that may be used.

        Raises:
            LicenseRefused: when there are some, and none of them may.
        """
        found: list[Variant] = []
        refused: LicenseRefused | None = None
        for model in report.models:
            for variant in model.variants:
                refusal = self.refusal(report, model, variant)
                refused = refused or refusal
                if refusal is None:
                    found.append(variant)
        if refused is not None and not found:
            raise refused
        return found

    def marked(self, report: Report, plan: Plan) -> Plan:
        """The plan, saying that it is refused if it is."""
        refused = self.refusal(report, plan.model, plan.choice)
        if refused is None:
            return plan
        warning = RepoWarning(code=REFUSED, text=refused.message)
        return plan.model_copy(
            update={
                "why": (*plan.why, refused.message),
                "steps": (refused.hint, *plan.steps),
                "warnings": (*plan.warnings, warning),
            }
        )

    def _allowed(self, report: Report, model: Model) -> list[str]:
        """The variants of the model against which nothing speaks."""
        return [
            variant.name for variant in model.variants if not self._objections(report, model, variant)
        ]

    def _objections(self, report: Report, model: Model, variant: Variant) -> Mapping[str, str]:
        """What speaks against a variant, by the licences of every repository that it takes files from."""
        rows = license_rows(report.facts, model, variant)
        found: dict[str, str] = {}
        for repo, stated in rows_by_repository(rows, report.repo, variant).items():
            for code, text in self.policy.objections(stated).items():
                said = text if repo == report.repo or text.count(repo) else f"{repo}: {text}"
                found[code] = "; ".join(filter(None, (found.get(code), said)))
        return found


def _hint(report: Report, allowed: list[str]) -> str:
    if allowed:
        return f"Its licence is another for: {', '.join(allowed[:8])}."
    return (
        f"Read what states its licence: modelhub inspect {report.repo}. "
        "The policy is license_policy=, or MODELHUB_LICENSE_POLICY."
    )
