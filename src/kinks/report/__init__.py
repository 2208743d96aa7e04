"""Everything between a result table and its reader: tables, figures, claims, pages.

Light on import: matplotlib, nbconvert and the YAML reader are loaded by the modules that need them.
"""

from kinks.report.machine import scale
from kinks.report.references import reference
from kinks.report.tables import load_table, read_table, save_table
from kinks.report.tolerance import Exact, Ignore, Poisson, Proportion, Relative, Tolerance

__all__ = [
    "Exact",
    "Ignore",
    "Poisson",
    "Proportion",
    "Relative",
    "Tolerance",
    "load_table",
    "read_table",
    "reference",
    "save_table",
    "scale",
]
