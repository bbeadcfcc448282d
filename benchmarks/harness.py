"""What every benchmark shares: interleaved rounds, a ratio with its spread, a table or JSON.

A claim compares a subject with its baseline, measured in turn in the same run so that a machine
that slows down slows both; or it holds an absolute value against a limit. A ratio is better when
higher, and its target is a lower bound.
"""

import argparse
import json
import platform
import random
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

CACHE = Path(__file__).resolve().parents[1] / ".cache" / "benchmarks"


@dataclass(frozen=True, slots=True)
class Ratio:
    """Subject over baseline: the median of the rounds, and a 95 % bootstrap interval."""

    name: str
    subject: float
    baseline: float
    ratio: float
    low: float
    high: float
    target: float
    holds: bool
    unit: str


@dataclass(frozen=True, slots=True)
class Absolute:
    """A value that must stay under a limit."""

    name: str
    value: float
    low: float
    high: float
    limit: float
    holds: bool
    unit: str


Claim = Ratio | Absolute


def arguments(description: str) -> argparse.Namespace:
    """`--quick` for under two minutes, `--json` for machines, `--rounds` to overrule."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, under two minutes")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    parser.add_argument("--rounds", type=int, help="how many rounds")
    return parser.parse_args()


def interleave(
    subject: Callable[[], float], baseline: Callable[[], float], rounds: int, warmup: int = 1
) -> tuple[list[float], list[float]]:
    """Both measured in turn, the order swapped each round; warm-up rounds are thrown away."""
    measured: tuple[list[float], list[float]] = ([], [])
    for index in range(-warmup, rounds):
        order = (0, 1) if index % 2 else (1, 0)
        values = {which: (subject, baseline)[which]() for which in order}
        if index >= 0:
            measured[0].append(values[0])
            measured[1].append(values[1])
    return measured


def ratio(
    name: str, subject: Sequence[float], baseline: Sequence[float], target: float, unit: str
) -> Ratio:
    """A claim from paired measurements where more is better, such as tokens a second."""
    pairs = [s / b for s, b in zip(subject, baseline, strict=True)]
    low, high = bootstrap(pairs)
    middle = statistics.median(pairs)
    return Ratio(
        name,
        statistics.median(subject),
        statistics.median(baseline),
        middle,
        low,
        high,
        target,
        middle >= target,
        unit,
    )


def absolute(name: str, values: Sequence[float], limit: float, unit: str) -> Absolute:
    """A claim that the median stays under `limit`."""
    low, high = bootstrap(values)
    middle = statistics.median(values)
    return Absolute(name, middle, low, high, limit, middle <= limit, unit)


def bootstrap(values: Sequence[float], draws: int = 2000) -> tuple[float, float]:
    """The 95 % interval of the median, by resampling with a fixed seed."""
    dice = random.Random(0)
    medians = sorted(statistics.median(dice.choices(values, k=len(values))) for _ in range(draws))
    return medians[int(draws * 0.025)], medians[int(draws * 0.975)]


def report(claims: Iterable[Claim], *, as_json: bool) -> int:
    """Print the claims; gives the exit status, 0 when all hold."""
    claims = list(claims)
    if as_json:
        print(json.dumps({"claims": [asdict(claim) for claim in claims]}))
    else:
        machine = f"{platform.machine()}, Python {platform.python_version()}"
        print("\n".join([machine, *map(_line, claims)]))
    return 0 if all(claim.holds for claim in claims) else 1


def _line(claim: Claim) -> str:
    verdict = "holds" if claim.holds else "DOES NOT HOLD"
    if isinstance(claim, Ratio):
        return (
            f"{claim.name}: {claim.subject:.4g} beside {claim.baseline:.4g} {claim.unit}: "
            f"ratio {claim.ratio:.3f} ({claim.low:.3f} to {claim.high:.3f}), target ≥ {claim.target}: {verdict}"
        )
    return (
        f"{claim.name}: {claim.value:.4g} {claim.unit} ({claim.low:.4g} to {claim.high:.4g}), "
        f"limit {claim.limit:.4g}: {verdict}"
    )


def note(text: str) -> None:
    """Something for whoever waits; never in the way of `--json`."""
    print(text, file=sys.stderr)
