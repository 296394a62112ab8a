"""A recording of the simulated device computes as it is replayed, and refuses what a card does."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.simulated_cuda import simulated_cuda

FIRST = torch.device("cuda:0")
X = torch.arange(6.0)


@pytest.fixture(autouse=True)
def card():
    with simulated_cuda(devices=2) as devices:
        yield devices


def test_a_graph_computes_as_it_is_replayed(card):
    x, total, graph, factor = torch.ones(2, device=FIRST), torch.zeros(2, device=FIRST), torch.cuda.CUDAGraph(), 2.0
    with torch.cuda.graph(graph):
        made = x * factor
        total += made
    assert total.tolist() == [0, 0]
    assert made.isnan().all()
    factor = 3.0
    before = card.launches
    for value, sums in ((5.0, [10, 10]), (1.0, [12, 12])):
        x.fill_(value)
        graph.replay()
        assert total.tolist() == sums
        assert made.tolist() == [2 * value] * 2
    assert card.launches == before + 4  # What fills x, and a replay, whatever is recorded.


def test_gradients_and_dropout_are_replayed():
    network, graph = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)).to("cuda"), torch.cuda.CUDAGraph()
    x = torch.ones(4, 3, device=FIRST)

    def gradient():
        return torch.autograd.grad(network(x).square().sum(), list(network.parameters()))

    with torch.cuda.graph(graph):
        made = gradient()
    for seed, value in ((0, 1.0), (1, 2.0)):
        x.fill_(value)
        torch.cuda.default_generators[0].manual_seed(seed)
        graph.replay()
        torch.cuda.default_generators[0].manual_seed(seed)
        assert all(torch.equal(*pair) for pair in zip(made, gradient(), strict=True))


@pytest.mark.parametrize(
    "action",
    [
        lambda x: x.sum().item(),
        lambda x: x.cpu(),
        lambda x: X.to(FIRST),
        lambda x: X.pin_memory().to(FIRST, non_blocking=True),
        lambda x: x.copy_(X, non_blocking=True),
        lambda x: x[x > 2],
        lambda x: torch.cuda.graph(torch.cuda.CUDAGraph()).__enter__(),
    ],
)
def test_what_a_recording_refuses(action):
    x = X.to(FIRST)

    def recorded():
        with torch.cuda.graph(torch.cuda.CUDAGraph()):
            x.add_(1)
            action(x)

    with pytest.raises(RuntimeError, match="not permitted when stream is capturing"):
        recorded()
    assert x.tolist() == X.tolist()
    assert (x + 1).sum().item() == X.sum().item() + len(X)
