"""Progress as the runner shows it: one dated line per minute when nobody watches, a bar on a terminal."""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

FIRST_LINE, INTERVAL = 10.0, 60.0
POLL = 0.25


class Reporter:
    """Follow the progress file of one stage in a thread, from `with` to the end of the block.

    The thread also watches the processes that asked for this run (`keepers`): when one is gone, even killed, it
    sends this process SIGTERM, so that no stage goes on computing for nobody.
    """

    def __init__(self, stage: str, file: Path, cells: int, keepers: tuple[int, ...] = ()) -> None:
        self.stage, self.file, self.cells, self.keepers = stage, file, cells, keepers
        self.cell = 0
        self.stream: TextIO = sys.stderr
        self.first_line = FIRST_LINE
        self.interval = INTERVAL
        self._state: dict = {}
        self._read = 0
        self._bar: tqdm | None = None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def at_cell(self, number: int) -> None:
        """Note that cell `number` (from 1) starts."""
        self.cell = number

    def __enter__(self) -> "Reporter":
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text("")
        self._start = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def line(self) -> str:
        """What there is to say now: time, stage, cell, jobs done, time left."""
        parts = [time.strftime("%Y-%m-%d %H:%M:%S"), f"{self.stage}: cell {self.cell}/{self.cells}"]
        state = self._state
        if state:
            parts.append(f"{state['label']} {state['done']}/{state['total']}")
            fresh = state["done"] - state["first"]
            if fresh and state["done"] < state["total"]:
                rate = (time.time() - state["start"]) / fresh
                parts.append(f"{duration(rate * (state['total'] - state['done']))} left")
        parts.append(f"{duration(time.monotonic() - self._start)} so far")
        return ", ".join(parts)

    def _follow(self) -> None:
        terminal = self.stream.isatty()
        due = self._start + self.first_line
        while not self._done.wait(POLL):
            self._read_file()
            if terminal:
                self._draw()
            elif time.monotonic() >= due:
                print(self.line(), file=self.stream, flush=True)
                due += self.interval
            if not all(map(_alive, self.keepers)):
                self.keepers = ()
                os.kill(os.getpid(), signal.SIGTERM)
        self._read_file()
        if self._bar is not None:
            self._bar.close()

    def _read_file(self) -> None:
        text = self.file.read_bytes()[self._read :]
        text = text[: text.rfind(b"\n") + 1]  # the last line may be half written
        self._read += len(text)
        for line in text.splitlines():
            fields = json.loads(line)
            if "note" in fields:
                tqdm.write(f"{self.stage}: {fields['note']}", file=self.stream)
            else:
                self._state = fields if "total" in fields else {**self._state, **fields}

    def _draw(self) -> None:
        state = self._state
        if self._bar is None:
            self._bar = tqdm(file=self.stream, leave=False, total=self.cells)
        bar = self._bar
        if state:
            if bar.total != state["total"] or bar.initial != state["first"]:
                bar.reset(total=state["total"])
                bar.initial = state["first"]
            bar.n = state["done"]
        else:
            bar.n = self.cell
        bar.set_description_str(f"{self.stage}: cell {self.cell}/{self.cells} {state.get('label', '')}")


def duration(seconds: float) -> str:
    """`seconds` as "42 s", "3 min 05 s" or "2 h 10 min"."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes == 0:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
