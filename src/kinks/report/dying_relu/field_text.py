"""The gradient field (D4) in sentences, every number computed."""

import pandas as pd


def text(
    searched: pd.DataFrame, saddles: pd.DataFrame, sample: pd.DataFrame, narrow: pd.DataFrame, ends: pd.DataFrame
) -> str:
    """Say what the search for critical points found, and how the rings of starts ended."""
    total, found = searched["n"].sum(), searched["optimum"].sum()
    extra, least = next(sample.itertuples()), narrow.loc[narrow["eigenvalue"].idxmin()]
    up, down = (f"{saddles[name].sum()}" for name in ("ascending", "descending"))
    lines = [
        f"**Critical points (R7).** {total} searches, at {searched['gamma'].nunique()} target scales and "
        f"{searched['offset'].nunique()} offsets: {found} end at the optimum (λ, c), the farthest "
        f"{searched['farthest'].max():.1g} γ from it, {searched['lost'].sum()} leave for the dead directions or the "
        f"origin, and {searched['elsewhere'].sum()} at another point with a live ReLU. Nor can there be one: where it "
        "is active a ReLU is affine, so that the gradient is M (θ - θ*), and the second moment M of the active inputs "
        f"is regular (its smallest eigenvalue, per active input, is {least['eigenvalue']:.2g} at b/|w| = "
        f"{least['t']:.3g}). The origin is a saddle: of {saddles['n'].sum()} directions {down} descend and {up} "
        "ascend.",
        f"**A finite sample has more.** On {extra.n} inputs a ReLU that is active on {extra.active} of them and fits "
        f"it has a gradient of {extra.gradient:.1g} γ, {extra.away:.2g} γ away from the optimum: alive, at rest, and "
        "useless. The statement holds for Gaussian inputs, not for a sample.",
    ]
    for gamma, rows in ends.sort_values(["gamma", "momentum"], ascending=[False, True]).groupby("gamma", sort=False):
        said = [f"μ = {row.momentum:g}: {row.optimum} at the optimum, {row.dead} dead" for row in rows.itertuples()]
        lines.append(f"**Ring of {rows['n'].iloc[0]} starts, γ = {gamma:g}.** {'; '.join(said)}.")
    return "\n\n".join(lines)
