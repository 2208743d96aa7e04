"""The list of claims as people read it, once for the README and once for the page of results."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kinks import paths

DEPENDS = "depends on the rule"
ORDER = ("reproduced", DEPENDS, "not reproduced", "inconclusive", "not run at this scale")


@dataclass(frozen=True)
class Cell:
    """What one arm measured: a number, its interval and n as text (empty where it was not run), and the verdict."""

    value: str
    interval: str
    n: str
    verdict: str


@dataclass(frozen=True)
class Line:
    """One claim: what it says, the paper's value, the arms by name, and one verdict over the arms."""

    id: str
    claim: str
    quantity: str
    paper_value: str
    arms: dict[str, Cell]
    verdict: str
    table: str

    @property
    def stage(self) -> str:
        """The stage whose notebook shows the evidence."""
        return self.table.split("/")[0]


def read(path: Path) -> pd.DataFrame:
    """Read reports/claims.csv; a table without rows where there is none yet."""
    columns = ["id", "arm", "verdict", "scale", "data", "device"]
    text = {"paper_value": str, "data": str, "device": str, "claim": str, "quantity": str}
    if not path.is_file():
        return pd.DataFrame(columns=columns)
    empty = {name: [""] for name in ("measured", "low", "high")}
    return pd.read_csv(path, keep_default_na=False, na_values=empty, dtype=text)


def lines(claims: pd.DataFrame) -> Iterator[Line]:
    """Go through the claims in their order, the arms of each together."""
    for name in dict.fromkeys(claims["id"]):
        group = claims[claims["id"] == name]
        first = group.iloc[0]
        arms = {row["arm"]: _cell(row) for _, row in group.iterrows()}
        table = first["evidence"].removeprefix("reports/tables/").removesuffix(".csv")
        values = sorted(set(group["paper_value"]), key=len)  # the longest: an arm that was run says at how many images
        yield Line(name, first["claim"], first["quantity"], values[-1] or "–", arms, verdict(arms), table)


def verdict(arms: dict[str, Cell]) -> str:
    """Return one verdict over the arms: the rules' common one, or that it depends on the rule.

    A rule that was not run says nothing; the noise arm decides only where it is the only one.
    """
    said = [arms[arm].verdict for arm in ("published", "corrected") if arm in arms]
    said = [word for word in said if word != "not run at this scale"] or said
    said = said or [arms["noise"].verdict]
    return said[0] if len(set(said)) == 1 else DEPENDS


def sentence(claims: pd.DataFrame) -> str:
    """Say in one sentence how many claims there are and what became of them, at which scale, on which data, where."""
    if claims.empty:
        return "No results yet: run `make reproduce`."
    counts = Counter(line.verdict for line in lines(claims))
    words = {
        "reproduced": "reproduced",
        DEPENDS: "depending on the backward rule",
        "not reproduced": "not reproduced",
        "inconclusive": "inconclusive",
        "not run at this scale": "not run",
    }
    parts = [f"{counts[key]} {words[key]}" for key in ORDER if counts[key]]
    where = ", ".join(filter(None, ["; ".join(_values(claims, "data")), "; ".join(_values(claims, "device"))]))
    scale = "/".join(_values(claims, "scale"))
    return f"{counts.total()} published claims tested: {', '.join(parts)} (scale {scale}; {where})."


def notebooks() -> dict[str, str]:
    """Return the name of the notebook of every stage, without its ending: {"volume": "20_volume"}."""
    found = sorted((paths.ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    return {path.stem.split("_", 1)[1]: path.stem for path in found}


def _cell(row: pd.Series) -> Cell:
    if row["measured"] != row["measured"]:
        return Cell("", "", "", row["verdict"])
    known = row["low"] == row["low"] and row["low"] != row["high"]
    interval = f"[{row['low']:.3g}, {row['high']:.3g}]" if known else ""
    return Cell(f"{row['measured']:.3g}", interval, f"{int(row['n']):,}", row["verdict"])


def _values(claims: pd.DataFrame, column: str) -> list[str]:
    return sorted({part for value in claims[column] for part in str(value).split("; ") if part})
