"""What the papers claim, a claims.yaml for each, and what our tables say: one verdict per claim and arm."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from importlib.resources import files
from math import nan
from pathlib import Path

import pandas as pd
from ruamel.yaml import YAML

from kinks import paths, stats
from kinks.report import finding as findings
from kinks.report import machine, rules
from kinks.report.finding import Finding, RuleError
from kinks.report.tables import read_table, to_csv, write

ARMS = ("published", "corrected", "noise")  # A: as the public code computes it, B: the mathematics, C: noise floor
GUARDS = ("needs", "needs_to_refute")
PAPERS = (
    "relu_prime",
    "max_pool",
    "affine_pieces",
    "dying_relu",
)  # the packages that hold a claims.yaml each, in the order of the list
COLUMNS = (
    "id", "paper", "experiment", "claim", "quantity", "paper_value", "measured", "low", "high", "n", "arm", "scale",
    "data", "device", "verdict", "evidence",
)  # fmt: skip


class ClaimError(ValueError):
    """An entry of claims.yaml that cannot be judged: it names what the tables or the rules do not have."""


@dataclass(frozen=True)
class Claim:
    """One claim of a paper and how it is judged.

    Attributes:
        id: starts with its experiment (`E2-fp32-half`).
        claim, quantity: in our words: what is said, and the number that tests it.
        paper_value: the published number or text; None where nothing is recoverable. source: where it was found.
        table: "stage/name". select: pandas query for the rows of the claim. arms: a further query per arm.
        rule: `name`, and its arguments; any rule may have `needs`, a query without whose holding for all judged rows
            the run could tell nothing, and `needs_to_refute`, one without which it could not refute.
        refuted_by: what result would refute the claim.
        family: claims tested together (Holm's correction); by default each stands alone.
        headline: whether the README's first screen shows it.
    """

    id: str
    paper: str
    section: str
    experiment: str
    claim: str
    quantity: str
    paper_value: float | str | None
    source: str
    table: str
    select: str
    arms: Mapping[str, str]
    rule: Mapping[str, object]
    refuted_by: str
    family: str = ""
    headline: bool = False

    def __post_init__(self) -> None:
        if not self.id.startswith(f"{self.experiment}-"):
            raise ClaimError(f"claim {self.id!r}: an id starts with its experiment, {self.experiment}-")
        if odd := sorted(set(self.arms) - set(ARMS)) or (not self.arms and ["none"]):
            raise ClaimError(f"claim {self.id}: arm {odd[0]!r}; allowed: {', '.join(ARMS)}")
        if self.rule.get("name") not in rules.RULES:
            raise ClaimError(f"claim {self.id}: rule {self.rule.get('name')!r}; allowed: {', '.join(rules.RULES)}")
        try:
            inspect.signature(self.function).bind(None, None, **self.arguments(next(iter(self.arms))))
        except TypeError as error:
            raise ClaimError(f"claim {self.id}: rule {self.rule['name']}: {error}") from None

    @property
    def function(self):
        """The rule."""
        return rules.RULES[self.rule["name"]]

    def arguments(self, arm: str) -> dict[str, object]:
        """The rule's arguments; in its queries, `{arm}` stands for the query of the arm."""
        query = f"({self.arms[arm]})" if self.arms[arm] else "index == index"
        given = {key: value for key, value in self.rule.items() if key not in ("name", *GUARDS)}
        return {key: v.replace("{arm}", query) if isinstance(v, str) else v for key, v in given.items()}


@dataclass(frozen=True)
class Result:
    """A claim, one arm, and what was found; `finding` is None where the arm was not run at this scale.

    `scale` and `evidence` are those of the table that was judged; `evidence` is its path from the project's root.
    """

    claim: Claim
    arm: str
    finding: Finding | None
    data: str = ""
    device: str = ""
    scale: str = ""
    evidence: str = ""

    @property
    def verdict(self) -> str:
        """One of the four verdicts."""
        return self.finding.verdict if self.finding else "not run at this scale"

    def row(self) -> dict[str, object]:
        """The result as a row of claims.csv."""
        found = self.finding or Finding(nan, nan, nan, 0)
        published = found.paper if found.paper is not None else self.claim.paper_value
        return {
            **{name: getattr(self.claim, name) for name in COLUMNS[:5]},
            "paper_value": f"{published:g}" if isinstance(published, float) else str(published or ""),
            "measured": found.measured, "low": found.low, "high": found.high, "n": found.n,
            "arm": self.arm, "scale": self.scale or machine.scale(), "data": self.data, "device": self.device,
            "verdict": self.verdict, "evidence": self.evidence or f"reports/tables/{self.claim.table}.csv",
        }  # fmt: skip


def load(path: Path | None = None) -> list[Claim]:
    """Read the lists of claims, this package's own one after the other unless a path is given.

    Raises:
        ClaimError: an unknown or missing entry, an unknown arm or rule, a wrong argument, or an id given twice.
    """
    sources = [files(__package__) / paper / "claims.yaml" for paper in PAPERS] if path is None else [path]
    read = YAML(typ="safe", pure=True).load
    entries = [entry for source in sources for entry in read(source.read_text(encoding="utf-8"))["claims"]]
    known = {item.name for item in fields(Claim)}
    for entry in entries:
        if odd := sorted(set(entry) - known):
            raise ClaimError(f"claim {entry.get('id')}: unknown entry {odd[0]!r}; allowed: {', '.join(sorted(known))}")
        if lacking := sorted(known - {"family", "headline"} - set(entry)):
            raise ClaimError(f"claim {entry.get('id')}: no entry {lacking[0]!r}")
    claims = [Claim(**entry) for entry in entries]
    for number, claim in enumerate(claims):
        if claim.id in {other.id for other in claims[:number]}:
            raise ClaimError(f"claim {claim.id} is given twice")
    return claims


def results(
    tables: Path | None = None, claims: Sequence[Claim] | None = None, significance: float = 0.01
) -> list[Result]:
    """Judge every claim in every arm by the tables of a folder (None: this session's own, else the committed ones).

    Raises:
        ClaimError: a query, a rule and a table do not fit together; the message names all three.
    """
    store = _Tables(tables)
    raw = [_judged(claim, store) for claim in (load() if claims is None else claims)]
    flat = _settled([result for group in raw for result in group], significance)
    return [_floored(result, flat) for result in flat]


def committed_evidence(significance: float = 0.01) -> list[Result]:
    """Judge, of the claims, those that the larger runs committed as reports/evidence/NAME/tables can test.

    They were computed with the project's notebooks on more images or more initialisations than this scale has, and are
    kept beside its results, never in place of them.
    """
    found = []
    for folder in sorted(paths.RESULTS.glob("evidence/*/tables")):
        for result in results(folder, significance=significance):
            if result.finding is not None:
                table = folder / f"{result.claim.table}.csv"
                named = {
                    "scale": f"evidence: {folder.parent.name}",
                    "evidence": table.relative_to(paths.ROOT).as_posix(),
                }
                found.append(replace(result, **named))
    return found


def evaluate(tables: Path | None = None, significance: float = 0.01) -> pd.DataFrame:
    """Judge every claim: one row per claim and arm, with the columns of reports/claims.csv."""
    return frame(results(tables, significance=significance))


def frame(found: Sequence[Result]) -> pd.DataFrame:
    """Return results as the table of reports/claims.csv."""
    return pd.DataFrame([result.row() for result in found], columns=list(COLUMNS))


def save(found: Sequence[Result]) -> pd.DataFrame:
    """Write REPORTS/claims.csv and claims.md, and return the former as a table."""
    table = frame(found)
    write(paths.REPORTS / "claims.csv", to_csv(table))
    write(paths.REPORTS / "claims.md", _markdown(found))
    return table


@dataclass(frozen=True)
class _Tables:
    """Tables read once each; None for one that no stage has written."""

    folder: Path | None
    read: dict[str, pd.DataFrame | None] = field(default_factory=dict)

    @cached_property
    def _folders(self) -> list[Path]:
        return [self.folder] if self.folder else [paths.TABLES, paths.RESULTS / "tables"]

    def get(self, name: str) -> pd.DataFrame | None:
        if name not in self.read:
            found = [path for path in (folder / f"{name}.csv" for folder in self._folders) if path.is_file()]
            self.read[name] = read_table(found[0]) if found else None
        return self.read[name]


def _judged(claim: Claim, store: _Tables) -> list[Result]:
    table = store.get(claim.table)
    arms = [arm for arm in ARMS if arm in claim.arms]
    if table is None:
        return [Result(claim, arm, None) for arm in arms]
    found = []
    for arm in arms:
        try:
            query = " and ".join(f"({part})" for part in (claim.select, claim.arms[arm]) if part)
            rows = table.query(query, engine="python") if query else table
            finding = claim.function(rows, table, **claim.arguments(arm)) if len(rows) else None
            finding = _guarded(finding, rows, claim.rule)
        except (RuleError, KeyError, NameError, SyntaxError) as error:
            text = " ".join(str(error).split())
            raise ClaimError(f"claim {claim.id} ({arm}) on table {claim.table}: {text}") from error
        found.append(Result(claim, arm, finding, _joined(rows, "data"), _joined(rows, "device")))
    return found


def _guarded(finding: Finding | None, rows: pd.DataFrame, rule: Mapping[str, object]) -> Finding | None:
    """Return the finding, as inconclusive where its rows are not such as could have refuted the claim."""
    if finding is None or finding.verdict == "not run at this scale":
        return finding
    for guard in GUARDS:
        if guard not in rule or len(rows.query(rule[guard], engine="python")) == len(rows):
            continue
        if guard == "needs" or finding.verdict == "not reproduced":
            finding = replace(finding, verdict="inconclusive", p=None, note=f"cannot tell without {rule[guard]}")
    return finding


def _joined(rows: pd.DataFrame, column: str) -> str:
    return "; ".join(sorted(set(map(str, rows[column])))) if column in rows else ""


def _settled(found: list[Result], significance: float) -> list[Result]:
    """Close the tested findings: Holm's correction over each family and arm, for and against."""
    groups: dict[tuple[str, str], list[int]] = {}
    for number, result in enumerate(found):
        if result.finding and result.finding.p and result.finding.verdict is None:
            groups.setdefault((result.claim.family or result.claim.id, result.arm), []).append(number)
    closed = list(found)
    for members in groups.values():
        sides = [stats.holm([found[number].finding.p[side] for number in members]) for side in (0, 1)]
        for number, *adjusted in zip(members, *sides, strict=True):
            finding = findings.settled(found[number].finding, *map(float, adjusted), significance)
            closed[number] = replace(found[number], finding=finding)
    return closed


def _floored(result: Result, found: Sequence[Result]) -> Result:
    """Judge a noise arm by the effect it must stay below; a claim of no effect, or of noise alone, keeps its rule's."""
    if result.arm != "noise" or result.finding is None or result.claim.rule["name"] == "none":
        return result
    effects = {other.arm: other.finding for other in found if other.claim is result.claim and other.arm != "noise"}
    effect = effects.get("corrected") or effects.get("published")
    return replace(result, finding=findings.floor(result.finding, effect)) if effect else result


def _markdown(found: Sequence[Result]) -> str:
    lines = ["# Claims and verdicts", ""]
    for claim, evidence in dict.fromkeys((result.claim.id, result.evidence) for result in found):
        group = [result for result in found if (result.claim.id, result.evidence) == (claim, evidence)]
        about, path = group[0].claim, group[0].row()["evidence"].removeprefix("reports/").removesuffix(".csv")
        lines += [
            f"## {about.id}" + (f" ({group[0].scale})" if evidence else ""), "",
            f"{about.claim} ({about.paper}, section {about.section})", "",
            f"- tested by: {about.quantity}",
            f"- published: {group[0].row()['paper_value'] or 'no number'}; {about.source}",
            f"- would be refuted by: {about.refuted_by}",
            f"- evidence: [{about.table}]({path}.md)" + (f"; {group[0].data}" if evidence else ""), "",
            "| arm | measured | 95 % interval | n | verdict | remark |", "| --- | --- | --- | --- | --- | --- |",
            *[_line(result) for result in group], "",
        ]  # fmt: skip
    return "\n".join(lines)


def _line(result: Result) -> str:
    row, note = result.row(), result.finding.note if result.finding else ""
    return (
        f"| {row['arm']} | {number(row['measured'])} | {interval(row['low'], row['high'])} | {row['n']:,} "
        f"| {row['verdict']} | {note} |"
    )


def number(value: float) -> str:
    """Return a number as a reader wants it: four digits, a dash for none."""
    return "–" if value != value else f"{value:.4g}"


def interval(low: float, high: float) -> str:
    """Return the ends of an interval in brackets; nothing where there is none."""
    return "" if low != low or high != high else f"[{low:.3g}, {high:.3g}]"
