"""What a rule finds in the rows of a result table, and how a finding that awaits other findings gets its verdict."""

from dataclasses import dataclass, replace
from math import isnan, nan
from typing import Literal

Verdict = Literal["reproduced", "not reproduced", "inconclusive", "not run at this scale"]


class RuleError(ValueError):
    """The rows do not suit the rule: several lie where one is wanted."""


@dataclass(frozen=True)
class Finding:
    """What the rows say: a number with its interval, what it was held against, and the verdict.

    `p` holds the p-values for and against where the verdict is a test's, left open until Holm's correction over the
    family; `powered` says whether that test would have seen the published effect; `paper` overrides the paper's value
    where it had to be brought to the number of images of the run.
    """

    measured: float
    low: float
    high: float
    n: int
    verdict: Verdict | None = None
    target: float = nan
    p: tuple[float, float] | None = None
    powered: bool = False
    paper: str | None = None
    note: str = ""


UNRUN = Finding(nan, nan, nan, 0, "not run at this scale")


def settled(finding: Finding, p_for: float, p_against: float, significance: float) -> Finding:
    """Return a tested finding with its verdict, from its p-values after Holm's correction over the family."""
    note = ", ".join(filter(None, [finding.note, f"p = {p_for:.2g}"]))
    if p_for < significance:
        verdict = "reproduced"
    else:
        verdict = "not reproduced" if p_against < significance or finding.powered else "inconclusive"
    return replace(finding, verdict=verdict, note=note)


def floor(noise: Finding, effect: Finding) -> Finding:
    """Return the noise arm's finding with its verdict: `reproduced` where the effect stands clear above the noise."""
    if isnan(noise.measured) or isnan(effect.measured):
        return replace(noise, verdict="inconclusive", note="no effect, or no noise, to compare")
    ends = [end if not isnan(end) else found.measured for found, end in _ends(noise, effect)]
    verdict = "reproduced" if ends[1] < ends[2] else "not reproduced" if ends[0] >= ends[3] else "inconclusive"
    return replace(noise, verdict=verdict, note="noise floor against the effect above it", paper=None)


def _ends(noise: Finding, effect: Finding) -> list[tuple[Finding, float]]:
    return [(noise, noise.low), (noise, noise.high), (effect, effect.low), (effect, effect.high)]
