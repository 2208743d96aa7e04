"""One pass over the training images, cut into mini-batches, for audits of networks that are never trained."""

from dataclasses import dataclass
from typing import Self

from torch import Tensor

from kinks.audit import samples
from kinks.data import normalise
from kinks.data.epoch import Epoch
from kinks.precision import Precision

AUGMENTATION = 0  # seed of the one pass that every network sees


@dataclass(frozen=True)
class Pass:
    """One pass over a data set, the same for all networks: MNIST shuffled, colour images in their order."""

    images: Tensor
    labels: Tensor
    epoch: Epoch
    dataset: str
    precision: Precision
    device: str

    @classmethod
    def over(
        cls,
        dataset: str,
        source: str | None,
        folder: str | None,
        checksum: str,
        augment: bool,
        precision: Precision,
        device: str,
    ) -> Self:
        """Read the training images of a data set (arguments as in `kinks.audit.samples.images`) and draw the pass."""
        images, labels = samples.images(dataset, folder, "train", checksum, source=source, device=device)
        epoch = Epoch.draw(len(labels), AUGMENTATION, shuffle=dataset == "mnist", augment=augment)
        return cls(images, labels, epoch, dataset, precision, device)

    def indices(self, seed: int, minibatches: int, batch_size: int, *, partial: bool = False) -> list[int]:
        """The mini-batches of one initialisation: neighbours, going on where the one before it ended.

        The shorter one at the end of the pass is among them only if `partial`. Raises ValueError where there are fewer
        images than a mini-batch holds.
        """
        among, rest = divmod(len(self.labels), batch_size)
        if not among:
            raise ValueError(f"mini-batches of {batch_size} images asked for; given {len(self.labels)} images")
        among += partial and rest > 0
        return [(seed * minibatches + number) % among for number in range(min(minibatches, among))]

    def minibatch(self, index: int, batch_size: int) -> tuple[Tensor, Tensor]:
        """Mini-batch `index`: images `(B, C, H, W)` in the storage format, labels `(B,)`, both on the device."""
        part = slice(index * batch_size, (index + 1) * batch_size)
        x = normalise(self.epoch.images(self.images, part), self.dataset, self.precision.storage, self.device)
        return x, self.labels[self.epoch.order[part].to(self.labels.device)]
