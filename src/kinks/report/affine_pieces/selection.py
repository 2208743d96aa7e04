"""Which of the trained networks a figure of K1 to K3 shows, whatever was run."""

import numpy as np
import pandas as pd

from kinks.report.affine_pieces.updates import GROUP, histograms

BINS = np.arange(-16, 0.01, 0.5)
SINE = "task == 'interval' and target == 'sine' and rule == 'descent' and batch == 0"


def main(rows: pd.DataFrame, init: str = "default") -> pd.DataFrame:
    """The rows of full-batch descent on the sine from one start, at the step size most networks were trained with."""
    rows = rows.query(f"{SINE} and init == '{init}'")
    if rows.empty:
        return rows
    return rows[rows["step_size"] == rows["step_size"].mode().iloc[0]]


def common_steps(rows: pd.DataFrame) -> list[int]:
    """The steps that every depth and width of these rows has recorded."""
    recorded = [set(group["step"]) for _, group in rows.groupby(["hidden_layers", "width"])]
    return sorted(set.intersection(*recorded)) if recorded else []


def middle(values: pd.Series) -> int:
    """The middle one of the values that occur, the larger if there are two."""
    found = sorted(values.unique())
    return found[len(found) // 2]


def size_panels(rows: pd.DataFrame) -> pd.DataFrame:
    """Histograms of update sizes, a panel each: by layer of the deepest network, by width, by step, by task."""
    plain = main(rows)
    last = max(common_steps(plain))
    width, depth = middle(plain["width"]), middle(plain["hidden_layers"])
    deepest = plain["hidden_layers"].max()
    here = plain[(plain["step"] == last) & (plain["width"] == width) & (plain["hidden_layers"] == deepest)]
    layers = sorted({1, *(deepest * k // 4 for k in (1, 2, 3)), deepest} - {0})
    widths = plain[(plain["step"] == last) & (plain["hidden_layers"] == depth)]
    steps = plain[(plain["width"] == width) & (plain["hidden_layers"] == depth)]
    shown = [0, *sorted(steps["step"].unique())[2::2]]
    parts = [
        _panel(here[here["layer"].isin(layers)], "layer", f"By layer, {deepest} x {width}, step {last}", "layer {}"),
        _panel(widths, "width", f"By width, {depth} hidden layers, step {last}", "width {}"),
        _panel(steps[steps["step"].isin(shown)], "step", f"By step, {depth} x {width}", "step {}"),
    ]
    return pd.concat(parts, ignore_index=True)


def _panel(rows: pd.DataFrame, by: str, title: str, label: str) -> pd.DataFrame:
    table = histograms(rows, by, BINS)
    return table.assign(panel=title, order=table[by], label=[label.format(one) for one in table[by]]).drop(columns=by)


def plain_cells(cells: pd.DataFrame) -> pd.DataFrame:
    """The cells of `updates.statistics` of the main group at the last step that all have."""
    chosen = main(cells)
    return chosen[chosen["step"] == max(common_steps(chosen))]


def exponents_beside(slopes: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """The fitted exponents of the group and step of these cells."""
    about = cells[[*GROUP, "step"]].iloc[:1]
    return slopes.merge(about, on=[*GROUP, "step"])


def depths(table: pd.DataFrame) -> pd.DataFrame:
    """Rows of `by_step` for regions against depth: one width that most depths have, first and last common step."""
    parts = [main(table), main(table[table["bias_sd"] == table["bias_sd"].where(table["init"] == "he").max()], "he")]
    parts = [part for part in parts if len(part)]
    width = main(table).groupby("width")["hidden_layers"].nunique().sort_index().iloc[::-1].idxmax()
    chosen = []
    for part in parts:
        part = part[part["width"] == width]
        steps = common_steps(part)
        chosen.append(part[part["step"].isin([steps[0], steps[-1]])] if steps else part)
    return pd.concat(chosen)


def bounds_beside(slack: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """The rows of `bound_tables.slack` for formats, of the library's default start, at the width of these rows."""
    here = (slack["init"] == "default") & (slack["width"] == table["width"].iloc[0])
    return slack[here & (slack["source"] != "given")]


def step_panels(table: pd.DataFrame) -> dict[str, tuple[pd.DataFrame, str]]:
    """Panels of regions against the step: shapes of the main group, targets, rules, and the other tasks."""
    plain = main(table)
    width = middle(plain["width"])
    long = plain[(plain["width"] == width)]
    panels = {f"Depths, width {width}": (long, "shape")}
    other = table[(table["init"] == "default") & (table["batch"] == 0)]
    interval, longest = other[other["task"] == "interval"], plain["step"].max()
    targets = interval[(interval["rule"] == "descent") & (interval["step_size"] == plain["step_size"].iloc[0])]
    shape = targets.groupby("shape")["target"].nunique().idxmax()
    panels[f"Targets, {shape}"] = (targets[targets["shape"] == shape], "target")
    rules = interval[(interval["target"] == "sine") & (interval["shape"] == shape)]
    rules = rules.assign(rule=[f"{row.rule} {row.step_size:g}" for row in rules.itertuples()])
    panels[f"Rules, {shape}"] = (rules[rules.groupby("rule")["step"].transform("max") >= longest / 10], "rule")
    for task, name in (("mnist", "T2, between images"), ("cube", "T3, between data")):
        rows = other[other["task"] == task]
        if len(rows):
            panels[name] = (rows[rows["width"] == rows["width"].max()], "shape")
    return {title: part for title, part in panels.items() if len(part[0])}
