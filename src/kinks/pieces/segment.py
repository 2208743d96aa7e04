"""Count the affine pieces and activation regions of a network along a segment, exactly (a2, c1, c2)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from kinks.pieces.cells import Bool, Cells
from kinks.pieces.compare import slope_changes
from kinks.pieces.exact import Exact
from kinks.pieces.network import Float, Network
from kinks.pieces.neurons import Neurons
from kinks.pieces.reading import as_network
from kinks.pieces.walk import AT_ONCE, walk


@dataclass(frozen=True, eq=False)
class Segment:
    """A network on x(s) = start + s (end - start), 0 <= s <= 1. Counts are exact; positions are rounded to float64.

    Attributes:
        boundaries: where the activation pattern changes, ascending, `(regions - 1,)`.
        breakpoints: those of them at which an output's slope changes, `(pieces - 1,)`.
        error: bound of the error of the boundaries, `(regions - 1,)`.
        slopes, intercepts: of the outputs on each piece, output = slope s + intercept, `(pieces, outputs)`.
        neurons: what each hidden neuron does, if asked for.
        decided_exactly: how many decisions needed exact rational numbers.
    """

    start: Float
    end: Float
    boundaries: Float
    breakpoints: Float
    error: Float
    slopes: Float
    intercepts: Float
    neurons: Neurons | None
    decided_exactly: int

    @property
    def regions(self) -> int:
        """Number of maximal intervals of positive length with one activation pattern."""
        return len(self.boundaries) + 1

    @property
    def pieces(self) -> int:
        """Number of maximal intervals on which all outputs are affine."""
        return len(self.breakpoints) + 1

    @property
    def points(self) -> Float:
        """The breakpoints as inputs of the network, `(pieces - 1, inputs)`."""
        return self.start + self.breakpoints[:, None] * (self.end - self.start)

    def __call__(self, s: ArrayLike) -> Float:
        """The outputs at positions s in [0, 1], `(n, outputs)`, from the pieces."""
        s = np.atleast_1d(np.asarray(s, dtype=np.float64))
        piece = np.searchsorted(self.breakpoints, s)
        return self.slopes[piece] * s[:, None] + self.intercepts[piece]

    def plot(self, axes, output: int = 0, **style) -> None:
        """Draw one output over s into matplotlib axes, with a tick on the curve at each breakpoint."""
        s = np.concatenate([[0.0], self.breakpoints, [1.0]])
        y = self(s)[:, output]
        (line,) = axes.plot(s, y, **style)
        axes.plot(s[1:-1], y[1:-1], "|", color=line.get_color())
        axes.set_xlabel("position on the segment (0: start, 1: end)")
        axes.set_ylabel(f"output {output}")
        axes.set_title(f"{self.pieces:,} affine pieces, {self.regions:,} activation regions")

    def __repr__(self) -> str:
        return f"Segment(pieces={self.pieces}, regions={self.regions}, decided_exactly={self.decided_exactly})"


@dataclass(frozen=True, eq=False)
class Counts:
    """Counts of several networks that differ in their biases.

    Attributes:
        regions, pieces: int64 `(draws,)`.
        neurons: what each hidden neuron does, if asked for.
        decided_exactly: how many decisions needed exact rational numbers.
    """

    regions: NDArray[np.int64]
    pieces: NDArray[np.int64]
    neurons: Neurons | None
    decided_exactly: int


def along(
    model: nn.Module | Network,
    start: Tensor | ArrayLike,
    end: Tensor | ArrayLike,
    *,
    neurons: bool = False,
    at_once: int = AT_ONCE,
) -> Segment:
    """Find all affine pieces and activation regions of a ReLU network between two inputs.

    The network is the real function that its stored numbers define, in any format up to float64; every decision is
    certain. Memory is about 50 bytes a region beside what `at_once` bounds. A neuron is active where its pre-activation
    is positive; single points at which one merely touches zero are no regions.

    Args:
        model: an `nn.Sequential` of affine layers and ReLUs, or a `Network`.
        start, end: two inputs of the same shape, without a batch dimension.
        neurons: whether to measure variation and slopes of every neuron, and which are dead.
        at_once: intervals x neurons that are treated together.

    Raises:
        CannotCountError: the model holds something else; the message names the layer.
        ValueError: the inputs do not fit or are not finite, or the network is several draws (see `counts`).
        OverflowError: a slope is beyond float64.
    """
    network, first, last = _prepared(model, start, end)
    if network.draws != 1:
        raise ValueError(f"the network is {network.draws} draws; count them with counts()")
    exact, watched = Exact(network, first, last), Neurons.of(network) if neurons else None
    parts = [
        (cells.ends[0], cells.error[0], new, cells.line[:, :, new])
        for cells, new in _groups(network, first, last, exact, watched, at_once)
    ]
    left, error, new = (np.concatenate([part[k] for part in parts]) for k in range(3))
    line = np.concatenate([part[3] for part in parts], axis=2)
    # Rounding may exchange neighbours whose order was decided exactly.
    ordered = np.maximum.accumulate(left)
    left, error = ordered, np.where(ordered > left, np.maximum.accumulate(error), error)
    return Segment(
        first, last, left[1:], left[new][1:], error[1:], line[:, 0].T, line[:, 1].T, watched, exact.asked
    )  # fmt: skip


def counts(
    network: Network,
    start: ArrayLike,
    end: ArrayLike,
    *,
    neurons: bool = False,
    at_once: int = AT_ONCE,
) -> Counts:
    """Count pieces and regions of all draws of a network at once; arguments as for `along`."""
    network, first, last = _prepared(network, start, end)
    exact, watched = Exact(network, first, last), Neurons.of(network) if neurons else None
    regions, pieces = np.zeros((2, network.draws), np.int64)
    for cells, new in _groups(network, first, last, exact, watched, at_once):
        regions += np.bincount(cells.draw, minlength=network.draws)
        pieces += np.bincount(cells.draw[new], minlength=network.draws)
    return Counts(regions, pieces, watched, exact.asked)


def _groups(network, start, end, exact, watched, at_once) -> Iterator[tuple[Cells, Bool]]:
    """The regions in groups, and for each whether a new piece begins with it."""
    before: Cells | None = None
    watch = None if watched is None else watched.watcher(network)
    for cells in walk(network, start, end, exact, watch, at_once):
        new = np.ones(len(cells), bool)
        new[1:] = slope_changes(network, cells.take(slice(0, -1)), cells.take(slice(1, None)), exact)
        new[1:] |= cells.draw[1:] != cells.draw[:-1]
        if before is not None and before.draw[0] == cells.draw[0]:
            new[0] = slope_changes(network, before, cells.take(slice(0, 1)), exact)[0]
        yield cells, new
        before = cells.take(slice(-1, None))


def _prepared(model, start, end) -> tuple[Network, Float, Float]:
    first, last = (_flat(point) for point in (start, end))
    if first.shape != last.shape or np.shape(start) != np.shape(end):
        raise ValueError(f"start has shape {np.shape(start)} and end {np.shape(end)}; give two of one shape")
    network = as_network(model, start)
    if len(first) != network.inputs:
        raise ValueError(f"the inputs have {len(first)} numbers; the network takes {network.inputs}")
    if not (np.isfinite(first).all() and np.isfinite(last).all()):
        raise ValueError("start or end is not finite; give two inputs without NaN or infinity")
    return network, first, last


def _flat(point: Tensor | ArrayLike) -> Float:
    if isinstance(point, Tensor):
        point = point.detach().cpu().double().numpy()
    return np.atleast_1d(np.asarray(point, dtype=np.float64)).ravel()
