"""The list of claims as people read it, once for the README and once for the page of results."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path

import pandas as pd
from pandas.io.formats.style import Styler

from kinks import paths
from kinks.report.style import VERDICT_COLOURS

ARMS = {"published": "as published", "corrected": "as the mathematics says", "noise": "noise floor"}
DEPENDS, DEPENDS_COLOUR = "depends on the arm", "#7b3294"
ORDER = ("reproduced", DEPENDS, "not reproduced", "inconclusive", "not run at this scale")


@dataclass(frozen=True)
class Cell:
    """What one arm measured: a number, its interval and n as text (empty where it was not run), and the verdict."""

    value: str
    interval: str
    n: str
    verdict: str

    @property
    def text(self) -> str:
        """All of it, to be broken between its parts only; the verdict where there is no number."""
        if not self.value:
            return self.verdict
        parts = filter(None, [self.value, self.interval, f"n = {self.n}"])
        return " ".join(part.replace(" ", "\N{NO-BREAK SPACE}") for part in parts)


@dataclass(frozen=True)
class Line:
    """One claim: what it says, the paper's value, the arms by name, and one verdict over the arms.

    `table` is the path of its table from reports/, without ending; `where` names the data of a larger run that is
    committed as evidence, and is empty for this scale's own results.
    """

    id: str
    paper: str
    claim: str
    quantity: str
    paper_value: str
    arms: dict[str, Cell]
    verdict: str
    table: str
    where: str = ""

    @property
    def stage(self) -> str:
        """The stage whose notebook shows the evidence."""
        return self.table.split("/")[-2]


def read(path: Path) -> pd.DataFrame:
    """Read reports/claims.csv; a table without rows where there is none yet."""
    columns = ["id", "arm", "verdict", "scale", "data", "device"]
    text = {"paper_value": str, "data": str, "device": str, "claim": str, "quantity": str}
    if not path.is_file():
        return pd.DataFrame(columns=columns)
    empty = {name: [""] for name in ("measured", "low", "high")}
    return pd.read_csv(path, keep_default_na=False, na_values=empty, dtype=text)


def lines(claims: pd.DataFrame) -> Iterator[Line]:
    """Go through the claims in their order, the arms of each together, a larger run right after this scale's own."""
    for name in dict.fromkeys(claims["id"]):
        whole = claims[claims["id"] == name]
        for evidence in dict.fromkeys(whole["evidence"]):
            group = whole[whole["evidence"] == evidence]
            first = group.iloc[0]
            arms = {row["arm"]: _cell(row) for _, row in group.iterrows()}
            values = sorted(set(group["paper_value"]), key=len)  # the longest: an arm that was run says for how many
            where = "; ".join(sorted(set(group["data"]))) if is_evidence(group).any() else ""
            table = evidence.removeprefix("reports/").removesuffix(".csv")
            about = (first[column] for column in ("paper", "claim", "quantity"))
            yield Line(name, *about, values[-1] or "–", arms, verdict(arms), table, where)


def is_evidence(claims: pd.DataFrame) -> pd.Series:
    """Say for every row whether it is a larger run committed beside this scale's own results."""
    return claims["scale"].astype(str).str.startswith("evidence")


def verdict(arms: dict[str, Cell]) -> str:
    """Return one verdict over the arms: the common one of A and B, or that it depends on which of them is asked.

    An arm that was not run says nothing; the noise arm decides only where it is the only one.
    """
    said = [arms[arm].verdict for arm in ("published", "corrected") if arm in arms]
    said = [word for word in said if word != "not run at this scale"] or said
    said = said or [arms["noise"].verdict]
    return said[0] if len(set(said)) == 1 else DEPENDS


def sentence(claims: pd.DataFrame) -> str:
    """Say in one sentence how many claims there are and what became of them, at which scale, on which data, where.

    Larger runs committed as evidence are counted in a sentence of their own.
    """
    if claims.empty:
        return "No results yet: run `make reproduce`."
    own, larger = claims[~is_evidence(claims)], claims[is_evidence(claims)]
    where = ", ".join(filter(None, ["; ".join(sets(own)), "; ".join(_values(own, "device"))]))
    scale = "/".join(_values(own, "scale"))
    total, parts = _counted(own)
    said = f"{total} claims tested: {parts} (scale {scale}; {where})."
    if len(larger):
        total, parts = _counted(larger)
        where = "; ".join(sets(larger))
        said += f" Larger runs, committed as evidence, test {total} of them: {parts} ({where})."
    return said


def _counted(claims: pd.DataFrame) -> tuple[int, str]:
    counts = Counter(line.verdict for line in lines(claims))
    words = {
        "reproduced": "reproduced",
        DEPENDS: "depending on the arm",
        "not reproduced": "not reproduced",
        "inconclusive": "inconclusive",
        "not run at this scale": "not run",
    }
    return counts.total(), ", ".join(f"{counts[key]} {words[key]}" for key in ORDER if counts[key])


def text(claims: pd.DataFrame) -> str:
    """Say in a few lines which claims have which verdict; where it depends on the arm, with both numbers."""
    words = {
        "reproduced": "Reproduced",
        DEPENDS: "Depending on the arm",
        "not reproduced": "Not reproduced",
        "inconclusive": "Inconclusive: this run could not have refuted, or confirmed, these",
        "not run at this scale": "Not run at this scale",
    }
    found = list(lines(claims))
    parts = []
    for key in ORDER:
        group = [line for line in found if line.verdict == key]
        if group:
            parts.append(f"**{words[key]}** ({len(group)}): " + "; ".join(map(_said, group)) + ".")
    return "\n\n".join(parts)


def styled(claims: pd.DataFrame) -> Styler:
    """Return the list of claims as a table to show in a notebook, verdicts in colour."""
    found = list(lines(claims))
    shown = pd.DataFrame(
        {
            "id": line.id,
            "claim": line.claim + (f" ({line.where})" if line.where else ""),
            "paper says": line.paper_value,
        }
        | {ARMS[arm]: line.arms[arm].text if arm in line.arms else "" for arm in ARMS}
        | {"verdict": line.verdict}
        for line in found
    )
    colours = VERDICT_COLOURS | {DEPENDS: DEPENDS_COLOUR}
    style = shown.style.hide(axis="index")
    return style.map(lambda verdict: f"color: {colours[verdict]}; font-weight: bold", subset=["verdict"])


def notebooks() -> dict[str, str]:
    """Return the name of the notebook of every stage, without its ending: {"volume": "20_volume"}."""
    found = sorted((paths.ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    return {path.stem.split("_", 1)[1]: path.stem for path in found}


def _said(line: Line) -> str:
    name = f"{line.id} (larger run)" if line.where else line.id
    if line.verdict != DEPENDS:
        return name
    values = [f"{line.arms[arm].value} {ARMS[arm]}" for arm in ("published", "corrected")]
    return f"{name} ({line.quantity}: {', '.join(values)})"


def _cell(row: pd.Series) -> Cell:
    if row["measured"] != row["measured"]:
        return Cell("", "", "", row["verdict"])
    known = row["low"] == row["low"] and row["low"] != row["high"]
    interval = f"[{_short(row['low'])}, {_short(row['high'])}]" if known else ""
    return Cell(_short(row["measured"]), interval, f"{int(row['n']):,}", row["verdict"])


def _short(value: float) -> str:
    return "∞" if value == inf else f"{value:.3g}"


def sets(claims: pd.DataFrame) -> list[str]:
    """The sets of images, without those of which another label is the beginning (their parts)."""
    found = [value for value in _values(claims, "data") if "images" in value or "patches" in value]
    found = [value for value in found if "no images" not in value]
    return [value for value in found if not any(value != other and value.startswith(other) for other in found)]


def _values(claims: pd.DataFrame, column: str) -> list[str]:
    return sorted({part for value in claims[column] for part in str(value).split("; ") if part})
