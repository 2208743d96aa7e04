"""When shards are computed again, and what is kept."""

import json
from pathlib import Path

import pytest

from kinks.pipeline.errors import PipelineError
from kinks.pipeline.processes import hold
from kinks.pipeline.state import must_recompute, recorded

INPUTS = {"provenance": {"notebook": "a", "packages": {"torch": "1"}}, "parameters": {"n": 1}}
OTHER = {"provenance": {"notebook": "b", "packages": {"torch": "1"}}, "parameters": {"n": 1}}
NEWER = {"provenance": {"notebook": "a", "packages": {"torch": "2"}}, "parameters": {"n": 1}}


def _last(state: str, inputs: dict = INPUTS, run: str | None = None) -> dict:
    return {"inputs": inputs, "state": state, "run": run}


@pytest.mark.parametrize(
    ("last", "run", "expected"),
    [
        (None, None, False),  # a fresh clone, or shards copied in from another machine
        (None, "r1", False),
        (_last("running"), None, False),  # killed: goes on
        (_last("done"), None, True),  # nothing changed, yet asked for: forced
        (_last("done", OTHER), None, False),  # something changed: shards that still fit are used
        (_last("done", run="r1"), "r1", False),  # the same reproduction, killed in a later stage
        (_last("running", run="r1"), "r1", False),
        (_last("done", run="r1"), "r2", True),
        (_last("running", run="r1"), "r2", True),
        (_last("done", OTHER), "r2", True),  # a reproduction looks nothing up from before it began
        (_last("running", NEWER), None, True),  # shards do not know which torch made them
    ],
)
def test_when_shards_are_set_aside(last: dict | None, run: str | None, expected: bool) -> None:
    assert must_recompute(last, INPUTS, run) is expected


def _shard(root: Path, text: str) -> Path:
    shard = root / ".kinks" / "shards" / "one" / "job" / "x.parquet"
    shard.parent.mkdir(parents=True, exist_ok=True)
    shard.write_text(text)
    return shard


def test_a_forced_stage_starts_without_shards_and_the_last_generation_is_kept(tmp_path: Path) -> None:
    previous = tmp_path / ".kinks" / "shards.previous" / "one" / "job" / "x.parquet"
    for generation in ("first", "second"):
        shard = _shard(tmp_path, generation)
        with recorded(tmp_path, "one", OTHER, None) as aside:
            assert not aside
        with recorded(tmp_path, "one", OTHER, None) as aside:
            assert aside and not shard.exists()
        assert previous.read_text() == generation
        with recorded(tmp_path, "one", INPUTS, None):
            pass


def test_a_stage_that_failed_keeps_its_shards(tmp_path: Path) -> None:
    shard = _shard(tmp_path, "kept")
    with pytest.raises(ZeroDivisionError), recorded(tmp_path, "one", INPUTS, None):
        raise ZeroDivisionError
    assert json.loads((tmp_path / ".kinks" / "stages" / "one.json").read_text())["state"] == "running"
    with recorded(tmp_path, "one", INPUTS, None) as aside:
        assert not aside and shard.exists()


def test_a_stage_runs_once_at_a_time(tmp_path: Path) -> None:
    with hold(tmp_path / "lock", "stage one"):
        with pytest.raises(PipelineError, match="stage one is already running in another process"):
            with hold(tmp_path / "lock", "stage one", patience=0.2):
                pytest.fail("held twice")
    with hold(tmp_path / "lock", "stage one", patience=0):
        pass
