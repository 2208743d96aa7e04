import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kinks.audit.model import audit
from kinks.ops import ReLUDerivative


def network(lattice: bool) -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    if lattice:
        with torch.no_grad():
            for p in model.parameters():
                p.copy_((p * 4).round() / 4)
    return model


def batch(lattice: bool):
    g = torch.Generator().manual_seed(1)
    x = torch.rand(32, 6, generator=g)
    return ((x * 2).round() / 2 if lattice else x), torch.randint(0, 3, (32,), generator=g)


def test_a_model_on_its_kinks_is_found_out_and_left_as_it_was():
    model = network(lattice=True)
    before = {name: p.clone() for name, p in model.state_dict().items()}
    result = audit(model, F.cross_entropy, *batch(lattice=True))
    assert result.depends_on_the_kink
    assert (
        result.census["count"].sum() > 0
        and set(result.census["kind"]) == {"zero"}
        and set(result.census["layer"]) == {"1", "3"}
    )
    assert len(result.census) == 2 * 32
    noise = result.gradients[result.gradients["derivative"] == "noise"]
    assert not noise["differs"].any() and len(noise) == 6
    assert all(torch.equal(before[name], p) for name, p in model.state_dict().items())
    assert isinstance(model[1], nn.ReLU)


def test_a_model_off_its_kinks_does_not_depend_on_them():
    result = audit(network(lattice=False), F.cross_entropy, *batch(lattice=False))
    assert result.census["count"].sum() == 0 and not result.depends_on_the_kink
    assert not result.gradients["differs"].any()


def test_its_differences_are_those_of_separate_backward_passes():
    from kinks.audit.gradients import relative_difference
    from kinks.ops import swap

    model, (x, y) = network(lattice=True), batch(lattice=True)
    result = audit(model, F.cross_entropy, x, y, [ReLUDerivative(0.0), ReLUDerivative(0.5, "assign")])
    grads = []
    for derivative in (ReLUDerivative(0.0), ReLUDerivative(0.5, "assign")):
        copy = swap(model, relu=derivative)
        F.cross_entropy(copy(x), y).backward()
        grads.append([p.grad for p in copy.parameters()])
    rows = result.gradients[result.gradients["derivative"] == "ReLU'(0) = 0.5 (assign)"]
    expected = [relative_difference(b, a) for a, b in zip(*grads, strict=True)]
    assert rows["relative_difference"].tolist() == expected and max(expected) > 0


def test_dropout_is_drawn_alike_for_the_noise_floor():
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))
    noise = audit(model, F.cross_entropy, *batch(lattice=False)).gradients.query("derivative == 'noise'")
    assert not noise["differs"].any()


def test_no_derivative_is_one_clear_line():
    with pytest.raises(ValueError, match="at least one ReLUDerivative"):
        audit(network(False), F.cross_entropy, *batch(False), relus=[])


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.relu = nn.Conv2d(1, 2, 3), nn.ReLU()

    def forward(self, x):
        return F.max_pool2d(self.relu(self.conv(x)), 2).flatten(1)


def pooled() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 3))
    with torch.no_grad():
        model[0].weight.copy_((model[0].weight * 4).round() / 4)
    images = torch.randint(0, 2, (8, 1, 8, 8), generator=torch.Generator().manual_seed(1)).float()
    return model, images, torch.arange(8) % 3


def test_ties_of_a_pool_are_counted_and_its_gradients_are_those_of_separate_networks():
    from kinks.audit.gradients import relative_difference
    from kinks.ops import PoolDerivative, swap, tied_windows

    model, x, y = pooled()
    found = audit(model, F.cross_entropy, x, y)
    top = model[2](model[1](model[0](x)))
    tied = tied_windows(model[1](model[0](x)), 2) > 1
    counts = found.census.groupby("kind")["count"].sum()
    assert counts["tie"] == (tied & (top > 0)).sum() > 0 and counts["tie at zero"] == (tied & (top == 0)).sum() > 0
    assert set(found.census["layer"]) == {"1", "2"} and found.depends_on_the_kink
    grads = []
    for beta in (0.0, 1.0):
        copy = swap(model, pool=PoolDerivative(beta))
        F.cross_entropy(copy(x), y).backward()
        grads.append([p.grad for p in copy.parameters()])
    rows = found.gradients[found.gradients["derivative"] == "max-pool, beta = 1"]
    expected = [relative_difference(b, a) for a, b in zip(*grads, strict=True)]
    assert rows["relative_difference"].tolist() == expected and max(expected) > 0


def test_a_model_of_pools_alone_is_audited_and_a_functional_pool_is_not_missed():
    model, x, y = pooled()
    del model[1]
    assert set(audit(model, F.cross_entropy, x, y).census["kind"]) == {"tie", "tie at zero"}
    with pytest.raises(ValueError, match=r"would miss max_pool2d\(\)"):
        audit(Functional(), F.cross_entropy, x, y)
    with pytest.raises(ValueError, match=r"no nn\.ReLU and no nn\.MaxPool2d"):
        audit(nn.Linear(2, 2), F.cross_entropy, torch.zeros(2, 2), y[:2])


def test_the_mixed_forward_is_refused():
    from kinks.ops import PoolDerivative

    with pytest.raises(ValueError, match="forward='exact'"):
        audit(*pooled()[:1], F.cross_entropy, *pooled()[1:], pools=[PoolDerivative(0), PoolDerivative(10, "mixed")])
