"""A real search, killed with SIGKILL in the middle of a trial, goes on and ends with the table of one left alone."""

import os
import subprocess
import sys
import time
from functools import partial

import pandas as pd
import pytest

from kinks import paths
from kinks.pipeline.shards import run_jobs
from kinks.train import loop, search
from kinks.train.search import Study

INLINE = partial(run_jobs, executor="inline")

SCRIPT = """
from functools import partial

from kinks.pipeline.shards import run_jobs
from kinks.train import search
from kinks.train.search import Study

if __name__ == "__main__":
    run = partial(run_jobs, executor="inline")
    search.search([Study(settings, **{sizes!r}) for settings in {settings!r}], run)
"""
SIZES = {"trials": 4, "random": 3, "unpruned": 2, "at_once": 2}


@pytest.fixture
def settings():
    """Two searches that differ in beta; with the released forward some of their trials overflow 16 bits."""
    places = loop.data("mnist", "embedded", images=96, validation=50, held_out=50)[0]
    given = places | {"network": "lenet5", "batch_norm": True, "precision": "fp16", "schedule": "constant"}
    given |= {"forward": "mixed", "epochs": 3, "batch": 16, "count": False, "rate": 1.0}
    found = [loop.settings(**given, beta=beta) for beta in (0.0, 10_000.0)]
    return [{key: value for key, value in one.items() if key != "rate"} for one in found]


def finished(store):
    return {path.name: path.stat().st_mtime_ns for path in store.rglob("[!.]*.parquet")}


def test_killed_in_mid_trial_it_goes_on(tmp_path, monkeypatch, settings):
    store, script = tmp_path / "store", tmp_path / "script.py"
    script.write_text(SCRIPT.format(settings=settings, sizes=SIZES))
    environment = {**os.environ, "KINKS_SHARDS": str(store), "KINKS_ROOT": str(paths.ROOT), "OMP_NUM_THREADS": "1"}
    started = subprocess.Popen([sys.executable, str(script)], env=environment, start_new_session=True)
    end = time.monotonic() + 120
    while len(finished(store)) < 3 and time.monotonic() < end and started.poll() is None:
        time.sleep(0.005)  # a trial takes far longer, so the next one is in its middle when this one is seen
    started.kill()
    assert started.wait() == -9, "it was over before it could be killed"
    before = finished(store)
    assert 3 <= len(before) < 8

    studies = [Study(one, **SIZES) for one in settings]
    monkeypatch.setenv("KINKS_SHARDS", str(store))
    resumed = search.search(studies, INLINE)
    assert before.items() <= finished(store).items(), "finished trials are used as they are"
    monkeypatch.setenv("KINKS_SHARDS", str(tmp_path / "fresh"))
    fresh = search.search(studies, INLINE)
    pd.testing.assert_frame_equal(resumed, fresh, check_exact=True)
    assert resumed.to_csv() == fresh.to_csv()
    assert len(resumed) == 8 and (resumed["diverged_step"] >= 0).any(), "diverged trials are rows like others"
