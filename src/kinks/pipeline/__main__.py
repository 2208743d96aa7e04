"""python -m kinks.pipeline {run STAGE, sources, reproduce, verify, scale [WORD]}."""

import argparse
import sys

from kinks import paths
from kinks.pipeline.errors import PipelineError


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line asks; the exit code is 0, 1 after one clear line, or 128 + the signal's number."""
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m kinks.pipeline", description="Runs the study's stages.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="execute one stage's notebook (called by DVC)")
    run.add_argument("stage")
    run.set_defaults(command=_run)
    sources = commands.add_parser("sources", help="write what each stage is made from (called by DVC)")
    sources.set_defaults(command=_sources)
    reproduce = commands.add_parser("reproduce", help="compute everything again, compare every table")
    reproduce.set_defaults(command=_reproduce)
    verify = commands.add_parser("verify", help="do the committed results belong to the committed code?")
    verify.set_defaults(command=_verify)
    scale = commands.add_parser("scale", help="print the scale in params.yaml, or set it")
    scale.add_argument("word", nargs="?")
    scale.set_defaults(command=_scale)
    return parser


# Imports are inside: `sources` and `scale` must not wait for Jupyter.
def _run(options: argparse.Namespace) -> int:
    # Loaded by jsonschema, which checks notebooks, it builds a grammar of web addresses for more than a second.
    sys.modules.setdefault("rfc3987_syntax", None)
    from kinks.pipeline.processes import Stopped, stop_on_signals
    from kinks.pipeline.run import run_stage

    try:
        with stop_on_signals():
            run_stage(paths.ROOT, options.stage)
    except Stopped as stopped:
        print(f"{options.stage}: stopped; finished shards are kept", file=sys.stderr)
        return 128 + stopped.signum
    return 0


def _sources(options: argparse.Namespace) -> int:
    from kinks.pipeline.provenance import write_all

    write_all(paths.ROOT)
    return 0


def _reproduce(options: argparse.Namespace) -> int:
    from kinks.pipeline.reproduce import reproduce

    return reproduce(paths.ROOT)


def _verify(options: argparse.Namespace) -> int:
    from kinks.pipeline.verify import verify

    return verify(paths.ROOT)


def _scale(options: argparse.Namespace) -> int:
    from kinks.pipeline.scales import current_scale, read_params, set_scale

    if options.word:
        set_scale(paths.ROOT, options.word)
    print(current_scale(read_params(paths.ROOT)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
