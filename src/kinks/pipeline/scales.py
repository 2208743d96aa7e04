"""params.yaml: one section per stage, one word that switches every stage between three sets of values."""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

from kinks.pipeline.errors import PipelineError

SCALES = ("smoke", "laptop", "paper")


def suggest(given: str, known: Iterable[str]) -> str:
    """ "; did you mean KNOWN?" for the nearest known name, or nothing."""
    near = get_close_matches(given, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def read_params(root: Path) -> dict:
    """params.yaml as YAML 1.2 (1e-3 is a number); PipelineError in one line if it cannot be read."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    path = root / "params.yaml"
    try:
        params = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, YAMLError) as error:
        raise PipelineError(f"{path}: {' '.join(str(error).split())}") from error
    if not isinstance(params, dict):
        raise PipelineError(f"{path}: expected `scale:` and one section per stage, got {params!r}")
    return params


def current_scale(params: dict) -> str:
    """The word at `scale`; PipelineError if it is none of the three."""
    scale = params.get("scale")
    if scale not in SCALES:
        raise PipelineError(
            f"params.yaml: scale is {scale!r}, allowed: {', '.join(SCALES)}{suggest(str(scale), SCALES)}"
        )
    return scale


def stage_values(params: dict, stage: str, scale: str) -> dict:
    """Values of `stage` at `scale`: its section's `all` and the scale's own.

    Raises PipelineError if the section is not made of `all` and the three scales, if a key is both in `all` and in
    a scale, or if a key is in one scale and not in another.
    """
    section = _section(params, stage)
    common, scaled = section["all"], {word: section[word] for word in SCALES}
    for word, values in scaled.items():
        if both := sorted(common.keys() & values.keys()):
            raise PipelineError(f"params.yaml: {stage}.all.{both[0]} is also in {stage}.{word}: keep one of the two")
    for key in dict.fromkeys(key for values in scaled.values() for key in values):
        if missing := [word for word in SCALES if key not in scaled[word]]:
            raise PipelineError(
                f"params.yaml: {stage}.{missing[0]}.{key} is missing: "
                f"a key is either in {stage}.all or in each of {', '.join(SCALES)}"
            )
    return {**common, **scaled[scale]}


def _section(params: dict, stage: str) -> dict[str, dict]:
    if stage not in params:
        sections = [name for name in params if name != "scale"]
        raise PipelineError(f"params.yaml: no section {stage}{suggest(stage, sections)}")
    section = params[stage] or {}
    parts = ("all", *SCALES)
    if set(section) != set(parts):
        raise PipelineError(
            f"params.yaml: {stage} holds {', '.join(map(str, section)) or 'nothing'}; "
            f"it must hold {', '.join(parts)} (each may be empty: {{}})"
        )
    for part in parts:
        if not isinstance(section[part], dict):
            raise PipelineError(f"params.yaml: {stage}.{part} is {section[part]!r}; write names with values, or {{}}")
    return section


def set_scale(root: Path, scale: str) -> None:
    """Write the one word in params.yaml, leaving every other character as it is."""
    current_scale({"scale": scale})
    path = root / "params.yaml"
    text, count = re.subn(r"(?m)^scale:[ ]*[^\s#]*", f"scale: {scale}", path.read_text(encoding="utf-8"))
    if count != 1:
        raise PipelineError(f"{path}: expected one line starting with `scale:`, found {count}")
    path.write_text(text, encoding="utf-8")
