"""params.yaml and the parameters cell: what is allowed, and the one line for everything else."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kinks.pipeline import run
from kinks.pipeline.errors import PipelineError
from kinks.pipeline.parameter_cell import declared, stage_parameters
from kinks.pipeline.scales import read_params, set_scale, stage_values

CELL = """
from typing import Literal
from kinks.pipeline.parameters import Count, Fraction, Number, Positive

source: Literal["embedded", "official"] = "embedded"
inits: Count = 1000
seed: Number = 0
lr: Positive = 1e-3
level: Fraction = 0.95
alphas: list[float] = [0.0, 1.0]
limit: int | None = None
exact: bool = True
"""
GOOD = {
    "source": "embedded",
    "inits": "1000",
    "seed": "0",
    "lr": "1e-3",
    "level": "0.95",
    "alphas": "[0, 1.0]",
    "limit": "null",
    "exact": "true",
}


def _flow(values: dict[str, str]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in values.items()) + "}"


@pytest.fixture
def check(project: Path, notebook: Callable, params: Callable) -> Callable[[dict[str, str]], dict]:
    """Checked values of stage `one`, whose section's `all` is given."""

    def run_check(values: dict[str, str]) -> dict:
        path = notebook(parameters=CELL)
        params(all=_flow(values))
        return stage_parameters(read_params(project), "one", path)

    return run_check


def test_good_values_travel_as_objects_in_the_notebooks_order(check: Callable) -> None:
    values = check(dict(reversed(GOOD.items())))
    assert list(values.items()) == [
        ("source", "embedded"),
        ("inits", 1000),
        ("seed", 0),
        ("lr", 0.001),
        ("level", 0.95),
        ("alphas", [0.0, 1.0]),
        ("limit", None),
        ("exact", True),
    ]
    assert all(isinstance(alpha, float) for alpha in values["alphas"])


def test_declared_values_are_the_cells_own(notebook: Callable) -> None:
    found = declared(notebook(parameters=CELL))
    assert found["inits"].default == 1000 and found["inits"].written == "Count"
    assert found["limit"].default is None and found["limit"].written == "int | None"


@pytest.mark.parametrize(
    ("key", "text", "allowed"),
    [
        ("inits", "0", "greater than or equal to 1"),
        ("inits", "1.0", "valid integer"),
        ("inits", "true", "valid integer"),
        ("inits", "'12'", "valid integer"),
        ("seed", "-1", "greater than or equal to 0"),
        ("lr", "'1e-3'", "valid number"),
        ("lr", "0", "greater than 0"),
        ("lr", ".inf", "finite number"),
        ("level", "1.5", "less than or equal to 1"),
        ("level", "true", "valid number"),
        ("alphas", "[0, x]", "[1] input should be a valid number"),
        ("alphas", "1.0", "valid list"),
        ("limit", "'none'", "valid integer"),
        ("exact", "yes", "valid boolean"),
        ("exact", "1", "valid boolean"),
        ("source", "offical", "'embedded' or 'official'"),
        ("source", "null", "'embedded' or 'official'"),
    ],
)
def test_a_wrong_value_is_one_line_with_place_value_and_what_is_allowed(
    check: Callable, key: str, text: str, allowed: str
) -> None:
    with pytest.raises(PipelineError) as caught:
        check({**GOOD, key: text})
    message = str(caught.value)
    assert message.startswith(f"params.yaml: one.all.{key} = ")
    assert allowed in message
    assert "\n" not in message


def test_a_misspelt_parameter_names_its_neighbour(check: Callable) -> None:
    values = {("init" if key == "inits" else key): value for key, value in GOOD.items()}
    with pytest.raises(PipelineError, match=r"one\.all\.init is not a parameter of 10_one.*did you mean inits\?"):
        check(values)


def test_a_missing_parameter_is_named_with_its_type(check: Callable) -> None:
    with pytest.raises(PipelineError, match=r"alphas is missing from section one; .*alphas: list\[float\]"):
        check({key: value for key, value in GOOD.items() if key != "alphas"})


def test_a_wrong_value_names_the_scale_it_stands_in(project: Path, notebook: Callable, params: Callable) -> None:
    path = notebook(parameters="from kinks.pipeline.parameters import Count\nn: Count = 2")
    params(smoke="{n: 1}", laptop="{n: 2}", paper="{n: many}")
    assert stage_parameters(read_params(project), "one", path) == {"n": 2}
    with pytest.raises(PipelineError, match=r"one\.paper\.n = 'many'"):
        stage_parameters(read_params(project), "one", path, scale="paper")


def test_no_kernel_starts_for_a_wrong_value(
    project: Path, notebook: Callable, params: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook(parameters="n: int = 2")
    params(all="{n: two}")
    monkeypatch.setattr(run, "execute", lambda *_: pytest.fail("a kernel was started"))
    with pytest.raises(PipelineError, match=r"one\.all\.n = 'two' \(str\) is not int"):
        run.run_stage(project, "one")
    assert not (project / "reports").exists()


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("n = 3", "`n = 3`: write `name: type = value`"),
        ("n: int", "`n: int`: give the laptop's value"),
        ("n: int = 1 + m", "must be a literal"),
        ("n: Cuont = 1", "name 'Cuont' is not defined"),
        ("n: int = = 1", "line 1: invalid syntax"),
        ("from kinks.nowhere import x", "No module named"),
    ],
)
def test_a_cell_that_is_no_declaration_is_refused(notebook: Callable, cell: str, message: str) -> None:
    with pytest.raises(PipelineError) as caught:
        declared(notebook(parameters=cell))
    assert message in str(caught.value) and "parameters cell 2" in str(caught.value)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"all": "{n: 1}", "smoke": "{n: 1}"}, r"one\.all\.n is also in one\.smoke"),
        ({"smoke": "{n: 1}", "laptop": "{n: 2}"}, r"one\.paper\.n is missing"),
        ({"paper": "5"}, r"one\.paper is 5; write names with values"),
        ({"scale": "labtop"}, r"scale is 'labtop', allowed: smoke, laptop, paper; did you mean laptop\?"),
    ],
)
def test_the_form_of_params_yaml_is_checked(
    project: Path, notebook: Callable, params: Callable, parts: dict, message: str
) -> None:
    path = notebook(parameters="n: int = 2")
    params(**parts)
    with pytest.raises(PipelineError, match=message):
        stage_parameters(read_params(project), "one", path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scale: laptop\none: {all: {}, smal: {}}", "one holds all, smal; it must hold all, smoke"),
        ("scale: laptop\nonce: {}", "no section one; did you mean once"),
        ("scale: laptop\none:", "one holds nothing"),
    ],
)
def test_a_section_of_another_form_is_refused(project: Path, text: str, message: str) -> None:
    (project / "params.yaml").write_text(text)
    with pytest.raises(PipelineError, match=message):
        stage_values(read_params(project), "one", "laptop")


@pytest.mark.parametrize("text", ["a: [1", "a: 1\na: 2", "just text", ""])
def test_an_unreadable_file_is_one_line(project: Path, text: str) -> None:
    (project / "params.yaml").write_text(text)
    with pytest.raises(PipelineError) as caught:
        read_params(project)
    assert "params.yaml" in str(caught.value) and "\n" not in str(caught.value)


def test_the_scale_is_switched_by_one_word_and_nothing_else_changes(project: Path) -> None:
    before = (project / "params.yaml").read_text()
    set_scale(project, "smoke")
    assert (project / "params.yaml").read_text() == before.replace("scale: laptop", "scale: smoke")
    with pytest.raises(PipelineError, match="scale is 'huge'"):
        set_scale(project, "huge")
