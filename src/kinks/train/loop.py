"""The one training loop: every network, data set, precision, optimiser and derivative of both papers' sweeps.

A run is a pure function of its settings. Networks of equal seed start from the same weights and see the same
mini-batches, whatever else differs; nothing waits for a GPU within a pass.
"""

from collections.abc import Iterator, Sequence

import pandas as pd
import torch

from kinks.precision import fixed
from kinks.train.settings import Settings, settings
from kinks.train.setup import data
from kinks.train.training import Training

__all__ = ["Training", "data", "ended", "epochs", "job", "settings"]
CHANCE = 0.02  # final training accuracy at most this far from the largest class's share: the run has learnt nothing


def job(**given: object) -> pd.DataFrame:
    """Train one network; `given` are all settings that `settings` returns.

    Returns:
        One row per epoch (`epochs` says what they hold), and `status`, the same in every row: "diverged", "chance"
        (the last training accuracy is within 2 points of the largest class's share) or "trained".
    """
    return ended(list(epochs(**given)))


def ended(rows: Sequence[dict[str, object]]) -> pd.DataFrame:
    """Return the rows of a run that has ended as a table with its `status`."""
    last = rows[-1]
    learnt = abs(last["train_accuracy"] - last["train_chance"]) > CHANCE
    status = "diverged" if last["diverged_step"] >= 0 else "trained" if learnt else "chance"
    return pd.DataFrame(rows).assign(status=status)


def epochs(**given: object) -> Iterator[dict[str, object]]:
    """Train one network and yield a row after each epoch, counted from 0; closing the generator ends the run.

    A row holds the run's settings and precision and

    - step: mini-batches trained on so far; epoch_rate: learning rate of this epoch
    - chance: the largest class's share of the test images (validation or training images where there are none);
      train_chance: of the training images
    - train_loss, train_accuracy: means over the pass, of weights that change; validation_*, test_*: afterwards, by
      image, NaN where there are no images; overflowed: share of test images with a logit that is not finite (wrong)
    - zeros, zeros_share, ties: ReLU inputs that were exactly 0, and windows tied at a positive maximum, in the pass
    - skipped: steps that loss scaling left out; dead_layers: ReLUs without a positive output at the last mini-batch
    - diverged_step, cause: mini-batches trained on before the first number that was not finite (-1: all were), and
      where it arose: "forward: LAYER", "pool: LAYER", "loss", "gradient: PARAMETER" or "update: PARAMETER"

    A run that diverged computes no further: what is measured is NaN from that epoch on, but for what was counted up to
    the failing mini-batch of that epoch. With dynamic loss scaling a step is skipped where numbers are not finite, and
    the run goes on; it diverged where 50 steps in a row were skipped or no loss of a pass was finite.
    """
    run = Settings(**given)
    with fixed(run.layers):
        torch.backends.cudnn.deterministic = run.deterministic
        training = Training(run)
        for epoch in range(run.epochs):
            yield training.epoch(epoch)
