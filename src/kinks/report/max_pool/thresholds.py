"""Thresholds (M3) and the NormPool histogram (M4): tables, figures in the published form, and the sentences."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from kinks.audit.zone_cells import CELL, interval
from kinks.report.panels import BITS

# What is drawn side by side: label, and the arm of style.ARM_COLOURS that it takes its colour from.
ARMS = {
    "swapped": ("ReLU'(0) = 0 and 1 (as called)", "published"),
    "beta": ("max-pool Jacobians 0 and 1 (as meant)", "corrected"),
    "reordered": ("examples reordered", "noise"),
}
RULES = {"assign": ("1 in the place of the gradient", "published"), "chain": ("1 x upstream gradient", "corrected")}
PUBLISHED_16 = (1e-4, 1e-1)  # between these lie all published norms of LeNet-5 at 16 bits
WORDS = {"accumulator": "in the accumulator", "after_convolution": "after a convolution's rounding"}
LIMIT = 1e-3  # where the released notebook puts its threshold at 16 bits


def histogram(rows: pd.DataFrame, by: list[str], norm: str = "n1") -> pd.DataFrame:
    """Count norms by decade, one group per value of the columns `by`; nothing is dropped (D24).

    Returns:
        Columns `by`, decade, count, n, percent: decade "zero" is exactly 0, a number e covers [10^(e-1), 10^e), and
        "not finite" stands for what has no decade. Percents of a group add up to 100.
    """
    found = []
    for key, group in rows.groupby(by, sort=True):
        values = group[norm].to_numpy(float)
        for decade, count in _decades(values).items():
            labels = dict(zip(by, key, strict=True))
            found.append(
                labels | {"decade": decade, "count": count, "n": len(values), "percent": 100 * count / len(values)}
            )
    return pd.DataFrame(found)


def _decades(values: np.ndarray) -> dict[str, int]:
    finite = values[np.isfinite(values)]
    exponents = np.floor(np.log10(finite[finite > 0])).astype(int) + 1
    counts = {"zero": int((finite == 0).sum())} | {str(e): int((exponents == e).sum()) for e in np.unique(exponents)}
    if len(finite) < len(values):
        counts["not finite"] = len(values) - len(finite)
    return counts


def bars(
    table: pd.DataFrame,
    published: pd.DataFrame,
    colours: dict[str, str],
    labels: Mapping[str, tuple[str, str]],
    by: str,
) -> Figure:
    """Draw a histogram in the published form (8 x 5 in, log percent, zero first), the groups of column `by` side by
    side; hollow diamonds are the published bars.

    Args:
        table: of `histogram`. published: decade, n, percent. colours: of `kinks.report.style`. labels: per group of
            `by`, its label and colour's name.
    """
    decades = _axis(pd.concat([table["decade"], published["decade"]]))
    groups = [name for name in labels if name in set(table[by])]
    width = 0.8 / max(len(groups), 1)
    fig, ax = plt.subplots(figsize=(8, 5))
    for rank, name in enumerate(groups):
        rows, (label, colour) = table[table[by] == name].set_index("decade"), labels[name]
        at = np.arange(len(decades)) + (rank - (len(groups) - 1) / 2) * width
        label = f"{label}, n = {int(rows['n'].iloc[0]):,}"
        ax.bar(at, rows["percent"].reindex(decades), width * 0.94, color=colours[colour], label=label, zorder=2)
    if len(published):
        at = [decades.index(decade) for decade in published["decade"]]
        style = {"marker": "D", "s": 26, "facecolors": "white", "edgecolors": "black", "lw": 0.9, "zorder": 5}
        ax.scatter(at, published["percent"], label=f"published{_n(published)}", **style)
    ax.set(yscale="log", ylim=(min(0.04, table.loc[table["percent"] > 0, "percent"].min() / 2), 130))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set(xlabel="log10(magnitude): a bar labelled e covers $[10^{e-1}, 10^e)$", ylabel="Proportion (%)")
    ax.set_xticks(range(len(decades)), ["exactly 0" if decade == "zero" else decade for decade in decades])
    ax.grid(axis="x", visible=False)
    ax.grid(axis="y", linestyle="--")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return fig


def _axis(decades: pd.Series) -> list[str]:
    numbers = sorted({int(one) for one in decades if one.lstrip("-").isdecimal()})
    between = [str(e) for e in range(numbers[0], numbers[-1] + 1)] if numbers else []
    return ["zero", *between, *(["not finite"] if "not finite" in set(decades) else [])]


def _n(published: pd.DataFrame) -> str:
    known = published["n"].dropna()
    return f", n = {int(known.iloc[0]):,}" if len(known) else " (n not recoverable)"


def norms(rows: pd.DataFrame) -> pd.DataFrame:
    """Return, per cell and arm, what N1 and Ninf are.

    Returns:
        inits, n; count of positive N1, share, low, high (95 %, over initialisations); within, the share of N1 in
        [1e-4, 1e-1), with within_low and within_high; smallest (positive), median and largest of both norms.
    """
    found = []
    for key, group in rows.groupby([*CELL, "arm"], sort=True):
        positive, within = group["n1"] > 0, group["n1"].between(*PUBLISHED_16, inclusive="left")
        row = dict(zip([*CELL, "arm"], key, strict=True)) | {"inits": group["seed"].nunique(), "n": len(group)}
        for name, hits in (("", positive), ("within", within)):
            low, high = interval(hits, group["seed"])
            ends = {f"{name}_low".strip("_"): low, f"{name}_high".strip("_"): high}
            row |= {name or "share": float(hits.mean())} | ends
        for norm in ("n1", "ninf"):
            values = group[norm]
            row |= {f"{norm}_smallest": values[values > 0].min(), f"{norm}_median": values.median()}
            row |= {f"{norm}_largest": values.max()}
        found.append(row | {"count": int(positive.sum())})
    return pd.DataFrame(found)


def procedures(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the threshold of each cell by the released procedure and by one rule for every precision.

    Returns:
        Per cell: `released`, the released procedure on N1 as called (its arguments swapped, D2): the smallest positive
        value at 16 bits, the largest otherwise (D3), NaN where all 16-bit values are 0; `intended`, the same with the
        max-pool Jacobians it names; `noise`, the largest N1 of the same program twice; `repaired`, the largest Ninf of
        reordered mini-batches, and `repaired_q90`, its upper decile; inits and n, the number of values, of each.
    """
    found = []
    for key, cell in rows.groupby(CELL, sort=True):
        row: dict[str, object] = dict(zip(CELL, key, strict=True))
        arms = {arm: cell[cell["arm"] == arm] for arm in ("swapped", "beta", "repeated", "reordered")}
        for name, arm in (("released", "swapped"), ("intended", "beta")):
            row |= {name: released_threshold(arms[arm]["n1"], str(row["precision"])), f"{name}_n": len(arms[arm])}
        row |= {"noise": arms["repeated"]["n1"].max(), "noise_n": len(arms["repeated"])}
        values = arms["reordered"]["ninf"]
        row |= {"repaired": values.max(), "repaired_q90": values.quantile(0.9), "repaired_n": len(values)}
        found.append(row | {"inits": cell["seed"].nunique()})
    return pd.DataFrame(found)


def released_threshold(norms: pd.Series, precision: str) -> float:
    """Return the threshold that the released procedure takes from `norms`; NaN if there is none to take."""
    if precision in ("fp16", "bf16"):
        return float(norms[norms > 0].min())
    return float(norms.max())


def norm_pool_jobs(
    inits: Mapping[str, int], assigned: int, per_job: int, minibatches: int, **common: object
) -> list[dict]:
    """List the settings of `kinks.audit.norm_pool.job`: `inits` networks per precision under the chain rule, and at 16
    bits the first `assigned` of them with 1 put in the place of the gradient."""
    cells = [(precision, "chain", count) for precision, count in inits.items()] + [("fp16", "assign", assigned)]
    return [
        {"precision": precision, "rule": rule, "first_seed": first, "seeds": min(per_job, count - first)}
        | {"minibatches": minibatches}
        | common
        for precision, rule, count in cells
        for first in range(0, count, per_job)
    ]


def norm_pool(rows: pd.DataFrame) -> pd.DataFrame:
    """Return per precision, bias placement and rule what the NormPool comparison gives.

    Returns:
        inits, n, zeros (count, share `zero`, zero_low, zero_high), reached (share not below 1e-3, count `above`, low,
        high), largest, smallest (positive), and how many windows underflowed of how many.
    """
    found = []
    for key, group in rows.groupby(["precision", "bias", "rule"], sort=True):
        values = group["n1"]
        equal, above = values == 0, values >= LIMIT
        low, high = interval(above, group["seed"])
        zero_low, zero_high = interval(equal, group["seed"])
        row = dict(zip(["precision", "bias", "rule"], key, strict=True))
        row |= {"inits": group["seed"].nunique(), "n": len(group)}
        row |= {"zeros": int(equal.sum()), "zero": float(equal.mean()), "zero_low": zero_low, "zero_high": zero_high}
        row |= {"above": int(above.sum()), "reached": float(above.mean()), "low": low, "high": high}
        row |= {"largest": values.max(), "smallest": values[values > 0].min()}
        found.append(row | {"underflowed": int(group["underflowed"].sum()), "windows": int(group["windows"].sum())})
    return pd.DataFrame(found)


def text(table: pd.DataFrame, found: pd.DataFrame, counted: pd.DataFrame, source: str) -> str:
    """Say what the thresholds are, every number computed.

    Args:
        table: of `procedures`. found: of `kinks.report.max_pool.zones.overview`. counted: of `norms`.
    """
    lines = [f"Data: {source}. Norms over all parameter tensors; weights are drawn, never trained."]
    for precision in [name for name in BITS if name in set(table["precision"])]:
        cells = table[(table["precision"] == precision) & (table["bias"] == "accumulator")].merge(found, on=CELL)
        reached = cells[cells["error_n"] > 0]
        ways = [_span(cells[name]) for name in ("released", "intended", "repaired_x")]
        apart = int((cells["largest"] > cells["repaired_x"]).sum())
        line = (
            f"**{BITS[precision]}.** Thresholds: {ways[0]} by the released call, {ways[1]} by the same procedure with "
            f"the Jacobians it names, {ways[2]} by reordering. The gradients for Jacobians 0 and 1 are further apart "
            f"than reordering can explain in {apart} of {len(cells)} networks"
        )
        if len(reached):
            beyond = int((reached["largest"] > reached["error"]).sum())
            line += f", and further apart than they are from 64 bits in {beyond} of {len(reached)}"
        lines.append(f"{line}.")
    wide = counted[counted["precision"].isin(["fp32", "fp64"])].groupby("arm")[["count", "n"]].sum()
    lines.append(
        f"**Exactly 0 at 32 and 64 bits?** The released call is, but for {_of(wide, 'swapped')} mini-batches: its "
        "arguments are swapped, so it compares values of ReLU'(0), which few mini-batches can tell apart. The "
        f"comparison that is meant differs in {_of(wide, 'beta')}; one program run twice differs in "
        f"{_of(wide, 'repeated')}."
    )
    half = counted[(counted["network"] == "lenet5") & (counted["precision"] == "fp16")]
    said = [
        f"{1 - row['share']:.0%} with the bias {WORDS[row['bias']]}"
        for _, row in half[half["arm"] == "swapped"].iterrows()
    ]
    meant = half[half["arm"] == "beta"]
    lines.append(
        f"**LeNet-5 at 16 bits.** Of the mini-batches {' and '.join(said)} are exactly 0 in the released call, and at "
        f"most {1 - meant['share'].min():.0%} in the one that is meant, whose norms lie between "
        f"{meant['n1_smallest'].min():.1g} and {meant['n1_largest'].max():.1g}; the published histogram has none."
    )
    return "\n\n".join(lines)


def _span(values: pd.Series) -> str:
    known = values.dropna()
    none = f" (none to take in {len(values) - len(known)})" if len(known) < len(values) else ""
    ends = list(dict.fromkeys([f"{known.min():.1g}", f"{known.max():.1g}"])) if len(known) else ["nothing"]
    return " to ".join(ends) + none


def _of(counts: pd.DataFrame, arm: str) -> str:
    return f"{int(counts.loc[arm, 'count'])} of {int(counts.loc[arm, 'n'])}" if arm in counts.index else "none of 0"


def norm_pool_text(table: pd.DataFrame, published: pd.DataFrame, source: str) -> str:
    """Say what the NormPool comparison gives, every number computed."""
    of = published.set_index("decade")
    zeros, n = int(of.loc["zero", "count"]), int(of["n"].iloc[0])
    lines = [f"Data: {source}. LeNet-5, mini-batches as published; the paper has {zeros / n:.2%} zeros among {n:,}."]
    for _, row in table.iterrows():
        head = f"**{BITS[row['precision']]}, rule {row['rule']}.** Of {int(row['n']):,} mini-batches of "
        head += f"{int(row['inits'])} networks"
        line = (
            f"{head}, {row['zero']:.2%} are exactly 0 (95 % interval {row['zero_low']:.2%} to {row['zero_high']:.2%})"
        )
        if row["zeros"] < row["n"]:
            line += f"; the largest is {row['largest']:.2g}, the smallest positive one {row['smallest']:.2g}"
            line += f"; {row['reached']:.2%} reach {LIMIT:g}"
        lines.append(f"{line}. {int(row['underflowed']):,} of {row['windows']:.3g} windows underflowed.")
    return "\n\n".join(lines)
