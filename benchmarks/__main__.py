"""`python -m benchmarks`: every module here that has `rows()`, a table, and reports/benchmarks.{csv,md}.

With names of modules (`python -m benchmarks operators`) only those run, and nothing is written. The exit code
is 1 if a check failed or a goal was missed. `python -m benchmarks costs` is another program: reports/costs.{csv,md}.
"""

import argparse
import importlib
import pkgutil
import sys
import time

import pandas as pd

import benchmarks
from benchmarks import costs
from benchmarks.timing import COLUMNS, Result, rates
from kinks import paths


def available() -> dict[str, object]:
    """The modules of this package that have benchmark rows, by name."""
    names = [module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name != "__main__"]
    modules = {name: importlib.import_module(f"benchmarks.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, "rows")}


def line(result: Result) -> str:
    """One result for people: no time at all where nothing was timed."""
    row = result.row
    if row["ratio_median"] is None:
        return f"{row['name']}: {row['correct']}"
    share = "" if row["limit_share"] is None else f"; {row['limit_share']:.0%} of the limit"
    verdict = "" if result.reached else "  GOAL MISSED"
    quartiles = f"{row['ratio_median']:.2f} [{row['ratio_q1']:.2f}, {row['ratio_q3']:.2f}]"
    return f"{row['name']} against {row['baseline']}: {quartiles} ({row['goal']}{share}){verdict}"


def write(results: list[Result]) -> None:
    """Write reports/benchmarks.csv and .md."""
    table = pd.DataFrame([result.row for result in results], columns=COLUMNS)
    paths.RESULTS.mkdir(exist_ok=True)
    table.to_csv(paths.RESULTS / "benchmarks.csv", index=False)
    shown = table.astype(object).where(table.notna(), "")
    rate = "\n".join(f"- {name}: {value}" for name, value in rates().items())
    missed = "\n".join(f"- {line(result)}" for result in results if not (result.correct and result.reached))
    (paths.RESULTS / "benchmarks.md").write_text(
        "# Benchmarks\n\nMedian and quartiles of the ratios of interleaved rounds, CPU time of one thread; "
        "speed-up: baseline / ours, cost: ours / baseline.\n\n"
        f"{shown.to_markdown(index=False)}\n\nGoals missed and checks failed:\n\n{missed or '- none'}\n\n"
        f"Rates of this machine, for drift only:\n\n{rate}\n"
    )


def main(arguments: list[str] | None = None) -> int:
    """Run, print, write; 0 if every check passed and every goal was reached, else 1."""
    if (sys.argv[1:] if arguments is None else arguments) == ["costs"]:
        return costs.main()
    modules = available()
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(modules)}; default: all")
    names = parser.parse_args(arguments).names
    if unknown := [name for name in names if name not in modules]:
        parser.error(f"no benchmark {unknown[0]!r}; allowed: {', '.join(modules)}")
    start, results = time.monotonic(), []
    for name in names or modules:
        for result in modules[name].rows():
            print(line(result), flush=True)
            results.append(result)
    print(f"{len(results)} benchmarks in {time.monotonic() - start:.0f} s")
    if not names:
        write(results)
        print(f"written: {paths.RESULTS / 'benchmarks.csv'}, benchmarks.md")
    failed = [result for result in results if not (result.correct and result.reached)]
    if failed:
        print(f"{len(failed)} of {len(results)} failed a check or missed their goal", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
