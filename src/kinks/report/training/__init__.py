"""Training sweeps of both papers: paired statistics, boundaries, figures and sentences from the rows of the loop.

A sweep asks of a derivative at a kink, its *dose* (alpha or beta), whether it changes what is learnt, in the *variant*
of the released code and in the corrected one.

    rows = training.dosed(loop_rows, "alpha")            # adds `dose` and `variant` ("assign" | "chain" | "reordered")
    finals = training.finals(rows)                       # one row per run, failed ones at chance
    table = training.summary(finals)                     # one row per cell, variant and dose
    effects = training.effects(finals)                   # each dose against dose 0, paired by seed
    apart = training.interaction(finals)                 # released less corrected at equal dose, paired by seed
    bounds = training.boundary(effects)                  # where the harm begins, and up to where there is none
    causes = training.causes(effects, apart)             # which of the two does the harm, dose by dose
    save_table(training.stamped(effects, labels, device), "relu_sweep/effects", **training.saving(effects), note=...)
    training.box(finals, published=...); training.curves(rows); training.causal(effects, apart)
    training.frontier(bounds)
    training.say_summary(table, "alpha"); training.say_effects(effects, "alpha"); training.say_causes(causes, "alpha")
"""

from kinks.report.training.answer import causal
from kinks.report.training.blame import causes
from kinks.report.training.bounds import boundary
from kinks.report.training.boxes import box
from kinks.report.training.cells import summary
from kinks.report.training.frontier import frontier
from kinks.report.training.losses import curves, losses
from kinks.report.training.names import CELL, MARGIN
from kinks.report.training.pairs import effects, interaction
from kinks.report.training.rows import dosed, finals
from kinks.report.training.sentences import say_boundary, say_causes, say_effects, say_kinks, say_summary
from kinks.report.training.tables import saving, stamped

__all__ = [
    "CELL",
    "MARGIN",
    "boundary",
    "box",
    "causal",
    "causes",
    "curves",
    "dosed",
    "effects",
    "finals",
    "frontier",
    "interaction",
    "losses",
    "saving",
    "say_boundary",
    "say_causes",
    "say_effects",
    "say_kinks",
    "say_summary",
    "stamped",
    "summary",
]
