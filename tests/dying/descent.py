"""Steps of torch's own SGD and Adam by their functional forms, which spare a process the seconds of torch._dynamo."""

import torch
from torch.optim.adam import adam
from torch.optim.sgd import sgd

from kinks.dying.rules import SGD


class Torch:
    """torch.optim's descent on some parameters, by a rule of ours in the library's convention."""

    def __init__(self, parameters, by):
        self.parameters, self.by = list(parameters), by
        self.buffers = [None] * len(self.parameters)
        self.means, self.squares = ([torch.zeros_like(one) for one in self.parameters] for _ in range(2))
        self.steps = [torch.tensor(0.0) for _ in self.parameters]

    @torch.no_grad()
    def step(self, gradients=None):
        gradients = [one.grad for one in self.parameters] if gradients is None else gradients
        shared = {"lr": self.by.rate, "weight_decay": 0.0, "maximize": False, "foreach": False}
        if isinstance(self.by, SGD):
            own = {"momentum": self.by.momentum, "dampening": 0.0, "nesterov": self.by.nesterov}
            sgd(self.parameters, gradients, self.buffers, **shared, **own)
        else:
            own = dict(zip(("beta1", "beta2"), self.by.decays, strict=True), eps=self.by.epsilon, amsgrad=False)
            adam(self.parameters, gradients, self.means, self.squares, [], self.steps, **shared, **own)

    def descend(self, loss):
        """Differentiate a loss and take one step."""
        self.step(torch.autograd.grad(loss, self.parameters))
