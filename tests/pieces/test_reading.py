"""A user's own model: what is read, and the one line that says what is not."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from torch import nn

from kinks.ops import ReLU, ReLUDerivative
from kinks.pieces import CannotCountError, along, read


def perceptron(*sizes):
    torch.manual_seed(3)
    parts = [part for pair in pairwise(sizes) for part in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*parts[:-1])


class Doubled(nn.Sequential):
    def forward(self, x):
        return 2 * super().forward(x)


def spoilt(model, index, value):
    model[index].weight.data.flatten()[0] = value
    return model


def hooked():
    model = perceptron(2, 3, 1)
    model[0].register_forward_hook(lambda layer, given, found: 2 * found)
    return model


def convolutional():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Sequential(nn.Conv2d(2, 3, 3, padding=1, stride=2), nn.BatchNorm2d(3), nn.ReLU()),
        nn.AvgPool2d(2),
        nn.Conv2d(3, 4, 2, groups=1, bias=False),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(4, 3),
    )
    model[0][1].running_mean.normal_()
    model[0][1].running_var.uniform_(0.5, 2)
    model[0][1].weight.data.normal_()
    return model.eval()


def test_a_convolutional_network_is_its_affine_maps():
    model = convolutional()
    x = torch.randn(6, 2, 8, 8)
    network = read(model, (2, 8, 8))
    expected = model.double()(x.double()).detach().numpy()
    np.testing.assert_allclose(network(x.flatten(1)), expected, atol=1e-12)
    found = along(model, x[0], x[1])
    s = np.linspace(0, 1, 300)
    points = x[0] + torch.from_numpy(s)[:, None, None, None] * (x[1] - x[0])
    np.testing.assert_allclose(found(s), model(points).detach().numpy(), atol=1e-10)
    assert found.regions >= found.pieces > 5


def test_a_perceptron_in_single_precision_counts_as_on_a_fine_grid():
    model = perceptron(4, 10, 10, 2)
    start, end = torch.randn(2, 4, generator=torch.Generator().manual_seed(1))
    found = along(model, start, end)
    s = torch.linspace(0, 1, 20_001, dtype=torch.float64)[:, None]
    x, patterns = start.double() + s * (end.double() - start.double()), []
    for part in model.double():
        x = part(x)
        if isinstance(part, nn.ReLU):
            patterns.append(x > 0)
    on = torch.cat(patterns, 1)
    assert np.diff(found.boundaries, prepend=0, append=1).min() > 1 / 20_000, "a grid this fine sees every region"
    assert found.regions == 1 + int((on[1:] != on[:-1]).any(1).sum())


@pytest.mark.parametrize("relu", [nn.ReLU(), ReLU(ReLUDerivative(0.5))])
def test_relus_may_come_first_last_and_twice(relu):
    model = nn.Sequential(relu, nn.Linear(1, 1), nn.Identity(), relu, relu)
    with torch.no_grad():
        model[1].weight.fill_(-1.0)
        model[1].bias.fill_(0.5)
    found = along(model, -1.0, 1.0)
    assert found.boundaries.tolist() == [0.5, 0.75] and found.slopes[:, 0].tolist() == [0.0, -2.0, 0.0]


@pytest.mark.parametrize(
    "model, shape, message",
    [
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2)), (1, 6, 6), r"layer '1' \(MaxPool2d\) cannot be read"),
        (nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Tanh())), (2,), r"layer '1.0' \(Tanh\) cannot be read"),
        (Doubled(nn.Linear(2, 2)), (2,), r"the model \(Doubled\) cannot be read"),
        (nn.LSTM(8, 2), (8,), r"the model \(LSTM\) cannot be read"),
        (nn.Sequential(nn.BatchNorm1d(2)), (2,), r"in training mode; call model.eval\(\) first"),
        (nn.Sequential(nn.BatchNorm1d(2, track_running_stats=False)).eval(), (2,), "no running statistics"),
        (nn.Sequential(nn.Conv2d(3, 64, 3)), (3, 64, 64), "is a matrix of 246016 x 12288 numbers"),
        (nn.Sequential(nn.Linear(2, 2), nn.Dropout()), (2,), r"layer '1' \(Dropout\) is in training mode"),
        (nn.Sequential(nn.Linear(2, 2), nn.GRU(2, 2)), (2,), r"layer '1' \(GRU\) cannot be read"),
        (nn.Sequential(nn.LeakyReLU()), (2,), r"layer '0' \(LeakyReLU\) cannot be read; pieces are counted for Linear"),
        (torch.relu, (2,), r"the model \(builtin_function_or_method\) cannot be read"),
        (nn.Sequential(nn.Linear(3, 2)), (2,), r"layer '0' \(Linear\) does not take one input of shape \(2,\)"),
        (nn.Sequential(nn.Conv2d(1, 2, 3)), (8, 8), r"does not take one input of shape \(8, 8\)"),
        (nn.Sequential(nn.Conv2d(2, 2, 3)), (8, 8), r"does not take one input of shape \(8, 8\)"),
        (nn.Sequential(nn.BatchNorm1d(2)).eval(), (3,), r"BatchNorm1d\) does not take one input of shape \(3,\)"),
        (nn.Sequential(nn.BatchNorm2d(2)).eval(), (2,), r"BatchNorm2d\) does not take one input of shape \(2,\)"),
        (nn.Sequential(nn.Unflatten(1, (2, 2))), (3,), r"Unflatten\) does not take one input of shape \(3,\)"),
        (spoilt(perceptron(2, 3, 1), 2, np.nan), (2,), r"layer '2' \(Linear\) has a weight or bias that is NaN"),
        (spoilt(convolutional(), 2, np.inf), (2, 8, 8), r"layer '2' \(Conv2d\) has a weight or bias that is NaN"),
        (nn.Sequential(nn.Linear(2, 2, device="meta")), (2,), "weights are complex or on the meta device"),
        (hooked(), (2,), r"layer '0' \(Linear\) has forward hooks"),
    ],
)
def test_what_cannot_be_read_is_one_clear_line(model, shape, message):
    with pytest.raises(CannotCountError, match=message) as raised:
        read(model, shape)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 240


def test_inputs_that_do_not_fit_are_refused():
    model = nn.Sequential(nn.Linear(2, 1))
    with pytest.raises(ValueError, match="give two of one shape"):
        along(model, torch.zeros(2), torch.zeros(3))
    with pytest.raises(ValueError, match="no layer with weights"):
        along(nn.Sequential(nn.Flatten()), torch.zeros(2), torch.zeros(2))
    with pytest.raises(ValueError, match="the inputs have 3 numbers; the network takes 2"):
        along(read(model, (2,)), torch.zeros(3), torch.zeros(3))
    with pytest.raises(ValueError, match="start or end is not finite; give two inputs without NaN or infinity"):
        along(model, torch.zeros(2), torch.tensor([0.0, np.nan]))


def test_the_model_stays_as_it_is():
    model = convolutional()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    along(model, torch.zeros(2, 8, 8), torch.ones(2, 8, 8))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(value.requires_grad for value in model.parameters())


def test_the_plot_says_how_many_pieces_there_are():
    found = along(perceptron(1, 8, 8, 1), -2.0, 2.0)
    axes = Figure().subplots()
    found.plot(axes, color="black")
    assert axes.get_title() == f"{found.pieces} affine pieces, {found.regions} activation regions"
    assert len(axes.lines[0].get_xdata()) == found.pieces + 1 and len(axes.lines[1].get_xdata()) == found.pieces - 1
    assert axes.get_ylabel() == "output 0" and "0: start" in axes.get_xlabel()
