"""Lists of settings of `kinks.dying.sweep.job`, so that momenta meet at equal eta / (1 - mu) and at equal eta.

A speed is eta / (1 - mu) of SGD. Speeds on a ladder whose steps are a factor 1 - mu apart, or a part of it, give pairs
at equal eta, too: speed 0.1 at mu = 0.9 and speed 0.01 at mu = 0 both have eta = 0.01.
"""

from collections.abc import Mapping, Sequence


def rates(optimiser: str, momentum: float, speeds: Sequence[float], adam_rates: Sequence[float]) -> list[float]:
    """Return the learning rates of one optimiser: SGD's from its speeds, Adam's own.

    Args:
        optimiser: as `kinks.dying.rules.rule` names it.
        momentum: mu, or beta of the averaged convention, whose rate is its speed.
        speeds: eta / (1 - mu).
        adam_rates: of Adam, which has no speed to compare.
    """
    if optimiser == "adam":
        return [float(rate) for rate in adam_rates]
    share = 1.0 if optimiser == "averaged" else 1 - momentum
    return [float(f"{speed * share:.12g}") for speed in speeds]  # 0.1 x (1 - 0.9) is 0.01, not 0.009999999999999998


def sweeps(
    cells: Sequence[Mapping], optimisers: Sequence[Mapping], adam_rates: Sequence[float], common: Mapping
) -> list[dict]:
    """List the settings of every cell with every optimiser and rate: one job each, of all gammas and seeds.

    Args:
        cells: settings that name data and architecture, with `speeds`; a cell may have `optimisers` and `adam_rates` of
            its own, and `depth` may be a list: one cell for each.
        optimisers: `optimiser`, `momentum` and `epsilon` each, and `rates` where others than the cell's are meant.
        adam_rates: of cells that have none.
        common: all other settings; those of a cell come first.
    """
    jobs = []
    for cell in cells:
        given = {name: value for name, value in cell.items() if name not in ("speeds", "optimisers", "adam_rates")}
        depths = given["depth"] if isinstance(given["depth"], list) else [given["depth"]]
        for depth in depths:
            for one in cell.get("optimisers", optimisers):
                by = {"epsilon": 1e-8} | {name: value for name, value in one.items() if name != "rates"}
                own = cell.get("adam_rates", adam_rates)
                chosen = one.get("rates") or rates(by["optimiser"], by["momentum"], cell["speeds"], own)
                jobs += [{**common, **given, **by, "depth": depth, "rates": [rate]} for rate in chosen]
    return jobs
