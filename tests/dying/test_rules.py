import sys
from pathlib import Path

import pytest
import torch

from kinks.dying.rules import SGD, Adam, rule

sys.path.insert(0, str(Path(__file__).parent))
from descent import Torch

RULES = {
    "sgd": SGD(0.1),
    "heavy ball": SGD(0.1, 0.9),
    "averaged": SGD(1.0, 0.9, "averaged"),
    "nesterov": SGD(0.1, 0.9, nesterov=True),
    "adam": Adam(0.01),
    "adam with other decays": Adam(0.01, (0.5, 0.9), 1e-3),
}


@pytest.mark.parametrize("by", RULES.values(), ids=RULES)
@pytest.mark.parametrize("per_model", [False, True])
def test_rules_are_those_of_torch(by, per_model):
    generator = torch.Generator().manual_seed(0)
    weights = [torch.randn(4, 3, generator=generator, dtype=torch.float64)]
    theirs = Torch([weights[0].clone()], by.heavy_ball if isinstance(by, SGD) else by)
    ours = type(by)(**{**vars(by), "rate": torch.full((4, 1), by.rate, dtype=torch.float64)}) if per_model else by
    state = ours.state(weights)
    for count in range(1, 30):
        gradient = torch.randn(4, 3, generator=generator, dtype=torch.float64)
        theirs.step([gradient.clone()])
        ours.step(weights, [gradient], state, count)
    assert torch.allclose(weights[0], theirs.parameters[0], atol=1e-12)


def test_adam_without_epsilon_leaves_what_has_no_gradient():
    by, weights = Adam(0.1, epsilon=0.0), [torch.ones(2)]
    by.step(weights, [torch.tensor([0.0, 1.0])], by.state(weights), 1)
    assert weights[0].tolist() == pytest.approx([1.0, 0.9])


def test_names_of_rules():
    assert rule("sgd", 0.1, 0.9) == SGD(0.1, 0.9) and rule("adam", 0.1, epsilon=0.5) == Adam(0.1, epsilon=0.5)
    assert rule("averaged", 0.1, 0.9).convention == "averaged" and rule("nesterov", 0.1, 0.9).nesterov


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: SGD(0.0), "rate is 0.0; allowed: > 0"),
        (lambda: SGD(torch.tensor([0.1, -0.5])), "rate is -0.5"),
        (lambda: SGD(0.1, 1.0), "momentum is 1.0; allowed: 0 <= momentum < 1"),
        (lambda: SGD(0.1, 0.5, "ema"), "convention is 'ema'; allowed: heavy_ball, averaged"),
        (lambda: SGD(0.1, 0.5, "averaged", True), "nesterov=True with averaged momentum"),
        (lambda: Adam(0.1, epsilon=-1e-8), "allowed: 0 <= decay < 1, epsilon >= 0"),
        (lambda: rule("lion", 0.1), "optimiser is 'lion'; allowed: sgd, averaged, nesterov, adam"),
    ],
)
def test_what_a_rule_refuses(make, said):
    with pytest.raises(ValueError, match=said):
        make()
