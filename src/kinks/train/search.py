"""Learning-rate searches with Optuna (M7, E13): TPE, the median pruner, rates log-uniform between 1e-5 and 1e-1.

A search is replayed, not stored. Trial k draws its rate from a sampler seeded by the study's seed and k, given the
trials told before; the trial itself is a shard. Killed at any moment and started again, a search asks for the same
trials, finds those that are finished, and ends with the same table, bit for bit.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from kinks.train import trial

LOW, HIGH = 1e-5, 1e-1  # as both papers searched
RULES = trial.OBJECTIVES  # by which accuracy a rate is selected: ours, and the papers'

Run = Callable[[Callable, list[dict]], pd.DataFrame]  # runs a job for each of a list of settings, rows in their order


@dataclass(frozen=True)
class Study:
    """The search of the learning rate for one configuration and one value of ReLU'(0) or beta.

    Attributes:
        settings: of `kinks.train.loop.job`, without `rate`; their `seed` also seeds the sampler, so that studies that
            differ in the value alone begin with the same rates.
        trials: how many.
        random: trials whose rate is drawn at random before TPE begins; Optuna's, and the papers', is 10.
        unpruned: trials that must be complete before one is given up; Optuna's, and the papers', is 5.
        at_once: trials asked for before the first of them is told, so that they run side by side.
        objective: `validation`, or `test` as the papers chose.
    """

    settings: Mapping[str, object]
    trials: int = 20
    random: int = 10
    unpruned: int = 5
    at_once: int = 1
    objective: str = "validation"

    def __post_init__(self) -> None:
        if "rate" in self.settings:
            raise ValueError(f"study: settings hold rate={self.settings['rate']!r}, which is what is searched for")
        if self.objective not in RULES:
            raise ValueError(f"study: objective is {self.objective!r}; allowed: {', '.join(RULES)}")
        for name, least in (("trials", 1), ("random", 0), ("unpruned", 0), ("at_once", 1)):
            if not isinstance(value := getattr(self, name), int) or value < least:
                raise ValueError(f"study: {name} is {value!r}; allowed: a whole number of at least {least}")


def search(studies: Sequence[Study], run: Run) -> pd.DataFrame:
    """Run all studies side by side, `at_once` trials of each per round.

    Args:
        studies: what to search for.
        run: `kinks.pipeline.shards.run_jobs` with its executor, which keeps every finished trial.

    Returns:
        One row per trial: `study` (its number in `studies`), `trial`, `objective`, `state` (`complete` or `pruned`),
        `value`, and the row of the trial's last epoch as `kinks.train.trial.job` has it: rate, accuracies,
        diverged_step, cause. No diverged trial stops a study, and each has its row.
    """
    replays = [_Replay(study) for study in studies]
    while open_ones := [replay for replay in replays if len(replay.rows) < replay.study.trials]:
        asked = [replay.ask() for replay in open_ones]
        rows = run(trial.job, [job for jobs in asked for job in jobs])
        runs = iter([run for _, run in rows.groupby((rows["epoch"] == 0).cumsum())])
        for replay, jobs in zip(open_ones, asked, strict=True):
            replay.tell([next(runs) for _ in jobs])
    rows = [{"study": number} | row for number, replay in enumerate(replays) for row in replay.rows]
    return pd.DataFrame(rows)


def selected(trials: pd.DataFrame, rule: str = "validation") -> pd.DataFrame:
    """Return the trial that each study selects: of those complete and not diverged the best, the first among equals.

    Args:
        trials: as `search` returns them.
        rule: `validation` (ours), or `test` (the papers').

    Returns:
        Rows of `trials`, indexed by `study`; a study whose every trial diverged has none.
    """
    if rule not in RULES:
        raise ValueError(f"selected: rule is {rule!r}; allowed: {', '.join(RULES)}")
    able = trials[(trials["state"] == "complete") & trials[RULES[rule]].notna()]
    best = able.sort_values([RULES[rule], "trial"], ascending=[False, True], kind="stable")
    return best.drop_duplicates("study").set_index("study").sort_index()


def at(studies: Sequence[Study], rates: Sequence[float], run: Run) -> pd.DataFrame:
    """Train each study's network once at the rate given for it, such as that of value 0, and never give it up.

    Returns:
        One row per study, with the columns of `search`; `trial` is -1.
    """
    common = [{"settings": dict(one.settings), "objective": one.objective} for one in studies]
    jobs = [
        job | {"rate": float(rate), "floors": [None] * int(job["settings"]["epochs"])}
        for job, rate in zip(common, rates, strict=True)
    ]
    rows = run(trial.job, jobs)
    last = [run.iloc[-1].to_dict() for _, run in rows.groupby((rows["epoch"] == 0).cumsum())]
    names = {"trial": -1, "state": "complete"}
    return pd.DataFrame(
        {"study": number, **names, "objective": one.objective} | {k: v for k, v in row.items() if k != "pruned"}
        for number, (one, row) in enumerate(zip(studies, last, strict=True))
    )


class _Replay:
    """A study in memory, and what has been told to it."""

    def __init__(self, study: Study) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        pruner = optuna.pruners.MedianPruner(n_startup_trials=study.unpruned)
        self.study, self.optuna = study, optuna.create_study(direction="maximize", pruner=pruner)
        self.waiting: list[optuna.Trial] = []
        self.rows: list[dict] = []

    def ask(self) -> list[dict]:
        """Draw the rates of the next trials, and return the settings of their jobs."""
        from optuna.distributions import FloatDistribution
        from optuna.samplers import TPESampler

        first, study = len(self.rows), self.study
        floors = self.floors()
        for number in range(first, min(first + study.at_once, study.trials)):
            seed = int(study.settings["seed"]) * 1_000_003 + number
            self.optuna.sampler = TPESampler(n_startup_trials=study.random, seed=seed % 2**32)
            self.waiting.append(self.optuna.ask({"rate": FloatDistribution(LOW, HIGH, log=True)}))
        return [
            {"settings": dict(study.settings), "rate": one.params["rate"], "objective": study.objective}
            | {"floors": floors}
            for one in self.waiting
        ]

    def floors(self) -> list[float | None]:
        """The median, per epoch, of the trials complete by now: a trial whose best lies below is pruned."""
        epochs = int(self.study.settings["epochs"])
        done = self.optuna.get_trials(deepcopy=False, states=[_state("COMPLETE")])
        if not done or len(done) < self.study.unpruned:
            return [None] * epochs
        values = np.array([[one.intermediate_values[epoch] for epoch in range(epochs)] for one in done])
        return [float(median) for median in np.nanpercentile(values, 50, axis=0)]  # as Optuna, to the last bit

    def tell(self, runs: Sequence[pd.DataFrame]) -> None:
        """Report the epochs of the trials that were asked for; Optuna's pruner must agree with what was trained."""
        verdicts = []
        for one, run in zip(self.waiting, runs, strict=True):
            for epoch, value in zip(run["epoch"], run["value"], strict=True):
                one.report(float(value), int(epoch))
                verdicts.append(one.should_prune())
            if verdicts != [*[False] * (len(verdicts) - 1), bool(run["pruned"].iloc[-1])]:
                raise RuntimeError(f"trial {one.number}: Optuna's pruner says {verdicts}, the trial {run['pruned']}")
            verdicts.clear()
        for one, run in zip(self.waiting, runs, strict=True):
            last = run.iloc[-1].to_dict()
            pruned = bool(last.pop("pruned"))
            self.optuna.tell(one, None if pruned else last["value"], _state("PRUNED") if pruned else None)
            row = {"trial": one.number, "objective": self.study.objective, "state": "pruned" if pruned else "complete"}
            self.rows.append(row | last)
        self.waiting = []


def _state(name: str):
    from optuna.trial import TrialState

    return TrialState[name]
