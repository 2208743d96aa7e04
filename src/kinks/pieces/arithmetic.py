"""How a network is computed in a format: what is stored, and what products are summed in (c4)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from kinks.precision import Precision

WIDER = {"fp16": ("fp16", "fp32", "fp64"), "bf16": ("bf16", "fp32", "fp64"), "fp32": ("fp32", "fp64")}
WIDER["fp64"] = ("fp64",)
SIGNIFICAND = {"fp16": 11, "bf16": 8, "fp32": 24, "fp64": 53}


@dataclass(frozen=True)
class Arithmetic:
    """Storage and accumulation formats: every elementwise operation is rounded to `storage` once.

    Attributes:
        storage: fp16, bf16, fp32 or fp64: parameters, activations and gradients.
        accumulate: the format in which products are summed, `storage` or a wider one; the sum is rounded to `storage`
            once, its bias included. Where it is a 16-bit format, every product and every partial sum is rounded to it,
            in order; sums in fp32 and fp64 are in the order of the machine's matrix product.
    """

    storage: str
    accumulate: str

    def __post_init__(self) -> None:
        if self.accumulate not in WIDER.get(self.storage, ()):
            allowed = "; ".join(f"{name} in {', '.join(wider)}" for name, wider in WIDER.items())
            raise ValueError(f"{self.storage} accumulated in {self.accumulate} is not computed; allowed: {allowed}")

    @property
    def dtype(self) -> torch.dtype:
        """The storage format as torch names it."""
        return Precision(self.storage).storage

    @property
    def roundoff(self) -> float:
        """Unit roundoff u of the storage format (a3)."""
        return 2.0 ** -SIGNIFICAND[self.storage]

    def store(self, x) -> Tensor:
        """Round numbers to the storage format."""
        return torch.as_tensor(x).to(self.dtype)

    def product(self, a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return a b + bias, `(..., n, m)` for `(..., n, k)`, `(..., k, m)` and `(..., m)`, all in storage format."""
        if self.accumulate in ("fp16", "bf16"):
            return self._in_order(a, b, bias)
        wide = Precision(self.accumulate).storage
        total = a.to(wide) @ b.to(wide)
        return (total if bias is None else total + bias.to(wide)[..., None, :]).to(self.dtype)

    def _in_order(self, a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
        # torch computes each of these in fp32 and rounds it: 24 bits are enough for that to be one rounding.
        total = a[..., :, :1] * b[..., :1, :]
        for k in range(1, a.shape[-1]):
            total = total + a[..., :, k : k + 1] * b[..., k : k + 1, :]
        return total if bias is None else total + bias[..., None, :]


def named(name: str) -> Arithmetic:
    """Return a format as processors compute it: 16-bit numbers accumulated in fp32, the others in themselves."""
    return Arithmetic(name, "fp32" if name in ("fp16", "bf16") else name)
