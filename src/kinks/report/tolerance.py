"""By how much a value may differ when the same program runs on a processor that rounds otherwise."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from kinks import stats

RISK = 1e-6  # two samples of one distribution are told "different" this often


@dataclass(frozen=True)
class Exact:
    """Equal, or both missing."""

    def allows(self, committed: Mapping, fresh: Mapping, column: str) -> bool:
        """Whether the two rows agree in `column`."""
        return same(committed[column], fresh[column])


@dataclass(frozen=True)
class Relative:
    """Numbers within `r` of the committed one, as a fraction of it."""

    r: float

    def allows(self, committed: Mapping, fresh: Mapping, column: str) -> bool:
        """Whether the two rows agree in `column`."""
        a, b = committed[column], fresh[column]
        return same(a, b) or math.isclose(a, b, rel_tol=self.r, abs_tol=0.0)


@dataclass(frozen=True)
class Proportion:
    """Counts (integers) or shares (floats) of `n_column` independent trials: Fisher's exact test at 1e-6."""

    n_column: str

    def allows(self, committed: Mapping, fresh: Mapping, column: str) -> bool:
        """Whether the two rows agree in `column`."""
        if same(committed[column], fresh[column]):
            return True
        (count, n), (other, other_n) = (_counted(row, column, self.n_column) for row in (committed, fresh))
        return min(n, other_n) > 0 and stats.two_proportions(count, n, other, other_n) >= RISK


@dataclass(frozen=True)
class Poisson:
    """Counts (integers) or rates (floats) of rare events per `exposure_column`: the exact conditional test at 1e-6."""

    exposure_column: str

    def allows(self, committed: Mapping, fresh: Mapping, column: str) -> bool:
        """Whether the two rows agree in `column`."""
        if same(committed[column], fresh[column]):
            return True
        (events, exposure), (other, other_exposure) = (
            _counted(row, column, self.exposure_column) for row in (committed, fresh)
        )
        return min(exposure, other_exposure) > 0 and (stats.two_rates(events, exposure, other, other_exposure) >= RISK)


@dataclass(frozen=True)
class Ignore:
    """Anything: a value that follows from others (ends of an interval), or that says who computed it."""

    def allows(self, committed: Mapping, fresh: Mapping, column: str) -> bool:
        """Whether the two rows agree in `column`: always."""
        return True


Tolerance = Exact | Relative | Proportion | Poisson | Ignore
KINDS = {kind.__name__: kind for kind in (Exact, Relative, Proportion, Poisson, Ignore)}


def to_dict(tolerance: Tolerance) -> dict[str, object]:
    """Return the tolerance as plain values, for the description that lies beside a table."""
    return {"kind": type(tolerance).__name__, **asdict(tolerance)}


def from_dict(values: Mapping[str, object]) -> Tolerance:
    """Return the tolerance that `to_dict` described."""
    arguments = dict(values)
    return KINDS[arguments.pop("kind")](**arguments)


def same(a: object, b: object) -> bool:
    """Whether two cells of a table are equal, or both missing."""
    return a == b or (a != a and b != b)


def _counted(row: Mapping, column: str, total: str) -> tuple[int, float]:
    """The count behind a count or a share, and what it is counted out of."""
    value, n = row[column], row[total]
    if value != value or n != n:
        return 0, 0  # a missing value agrees with a missing one only
    is_share = isinstance(value, float)
    return round(value * n if is_share else value), n
