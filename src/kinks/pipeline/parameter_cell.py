"""The parameters cell of a notebook: what it declares, and whether given values fit it."""

import ast
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ConfigDict, PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError

from kinks.pipeline.errors import PipelineError
from kinks.pipeline.notebooks import read_cells, tags
from kinks.pipeline.scales import current_scale, stage_values, suggest


class Parameter(NamedTuple):
    """One annotated assignment: the annotation as written, the type it means, the default value."""

    written: str
    type: Any
    default: Any


def declared(notebook: Path) -> dict[str, Parameter]:
    """Parameters that the cell tagged `parameters` declares, in order; empty without such a cell.

    The cell is parsed, not run (but for its imports, which give the annotations their meaning). PipelineError
    names the cell and line of anything that is not an import or an annotated assignment of a literal.
    """
    cells = [cell for cell in enumerate(read_cells(notebook), 1) if "parameters" in tags(cell[1])]
    if len(cells) > 1:
        raise PipelineError(f"{notebook}: cells {cells[0][0]} and {cells[1][0]} are both tagged parameters")
    found: dict[str, Parameter] = {}
    names: dict[str, Any] = {}
    for number, cell in cells:
        where = f"{notebook}, parameters cell {number}"
        try:
            statements = ast.parse(cell["source"]).body
        except SyntaxError as error:
            raise PipelineError(f"{where}, line {error.lineno}: {error.msg}") from error
        for statement in statements:
            line = ast.unparse(statement)
            if isinstance(statement, ast.Import | ast.ImportFrom):
                _evaluate(line, names, where, mode="exec")
            elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                found[statement.target.id] = _parameter(statement, line, names, where)
            elif not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)):
                raise PipelineError(f"{where}: `{line}`: write `name: type = value`, e.g. `inits: Count = 1000`")
    return found


def _parameter(statement: ast.AnnAssign, line: str, names: dict[str, Any], where: str) -> Parameter:
    written = ast.unparse(statement.annotation)
    if statement.value is None:
        raise PipelineError(f"{where}: `{line}`: give the laptop's value, `{line} = ...`")
    try:
        default = ast.literal_eval(statement.value)
    except ValueError as error:
        raise PipelineError(f"{where}: `{line}`: the value must be a literal") from error
    return Parameter(written, _evaluate(written, names, where, mode="eval"), default)


def _evaluate(code: str, names: dict[str, Any], where: str, mode: str) -> Any:
    try:
        return eval(compile(code, where, mode), names)
    except Exception as error:
        raise PipelineError(f"{where}: `{code}`: {error}") from error


def check_values(values: dict, places: dict[str, str], parameters: dict[str, Parameter], notebook: Path) -> dict:
    """`values` in the notebook's order, each strictly of its declared type; `places` says where each one stands.

    Raises PipelineError in one line for the first unknown, missing, mistyped or out-of-range value.
    """
    for key in values:
        if key not in parameters:
            known = ", ".join(parameters) or "none"
            raise PipelineError(
                f"params.yaml: {places[key]} is not a parameter of {notebook.name}, "
                f"which declares {known}{suggest(str(key), parameters)}"
            )
    for key, parameter in parameters.items():
        if key not in values:
            raise PipelineError(
                f"params.yaml: {key} is missing from section {notebook.stem.split('_', 1)[1]}; "
                f"{notebook.name} declares {key}: {parameter.written}"
            )
    return {key: _checked(values[key], parameter, places[key]) for key, parameter in parameters.items()}


def _checked(value: Any, parameter: Parameter, where: str) -> Any:
    config = ConfigDict(strict=True, allow_inf_nan=False)
    try:
        return TypeAdapter(parameter.type, config=config).validate_python(value)
    except ValidationError as error:
        reasons = dict.fromkeys(
            "".join(f"[{step}] " for step in item["loc"] if isinstance(step, int)) + item["msg"].lower()
            for item in error.errors()
        )
        given = f"{value!r} ({type(value).__name__})"
        raise PipelineError(
            f"params.yaml: {where} = {given} is not {parameter.written}: {' or '.join(reasons)}"
        ) from error
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        raise PipelineError(f"params.yaml: {where}: {parameter.written} is not a type that can be checked") from error


def stage_parameters(params: dict, stage: str, notebook: Path, scale: str | None = None) -> dict:
    """Checked values of `stage` from params.yaml, at `scale` or at the scale that is set there."""
    scale = scale or current_scale(params)
    values = stage_values(params, stage, scale)
    places = {key: f"{stage}.{'all' if key in params[stage]['all'] else scale}.{key}" for key in values}
    return check_values(values, places, declared(notebook), notebook)
