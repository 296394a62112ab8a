"""Labels in training and of samples: which example is told which, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from diffusion_core.batches import Labelled
from diffusion_core.conditioning import Class, Unconditional, sample_labels
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Continuous
from diffusion_core.learner import DiffusionLearner
from diffusion_core.networks.unet import UNet
from diffusion_core.trainer import Trainer, train
from diffusion_core.training import Training
from tests.diffusion_core.learners import BASE, CLASSES, learner_of_points

CPU = torch.device("cpu")
PLAN = Training(steps=20, batch=6, warmup=0, precision="float32")


def trained_on(data) -> None:
    next(train(learner_of_points(TOLD)[0], data, PLAN, 0))


TOLD = replace(BASE, conditioning=Class())
POINTS, OWN = learner_of_points(TOLD)[1]
NO_SHARES = ([0.0, 0.0], [-1.0, 2.0], [], [math.nan, 1.0], [[1.0]])
REFUSED = [
    (lambda: trained_on(Labelled(POINTS, OWN.float())), r"^labels must be int64 \[N\], got torch.float32 \[40\]$"),
    (lambda: trained_on(Labelled(POINTS, OWN[:, None])), r"^labels must be int64 \[N\], got torch.int64 \[40, 1\]$"),
    (lambda: trained_on(Labelled(POINTS, OWN + 2)), "^labels of 3 classes are 0 to 2, and -1 for none, got 4$"),
    (lambda: trained_on(Labelled(POINTS, OWN - 1)), "^labels of 3 classes are 0 to 2, and -1 for none, got -2$"),
    (lambda: trained_on(POINTS), r"^a training with labels of 3 classes takes Labelled\(values, labels\), got none$"),
    (lambda: trained_on(Labelled(POINTS, OWN[1:])), "^a training with labels .* got 39 for 40 examples$"),
    (lambda: Diffusion(TOLD, Continuous(), (2,)), "^conditioning=class tells the network labels, and these data have"),
    *((lambda d=d: Class(dropout=d), "^conditioning.dropout is the share of labels ") for d in (-0.1, 1.0, math.nan)),
    *((lambda s=s: sample_labels(torch.tensor(s), 5, 0), "^shares of classes must be at least 0") for s in NO_SHARES),
]


@pytest.mark.parametrize(("attempt", "line"), REFUSED)
def test_what_is_no_label_and_no_share_is_refused(attempt, line):
    with pytest.raises(ValueError, match=line):
        attempt()


@pytest.fixture
def asked(monkeypatch):
    """The stored data and the labels that all questions were put with."""
    seen: list[tuple[Tensor, Tensor]] = []
    question = DiffusionLearner.question

    def kept(self, raw, draws):
        seen.append((raw, question(self, raw, draws).asked["label"]))
        return question(self, raw, draws)

    monkeypatch.setattr(DiffusionLearner, "question", kept)
    return seen


def told(asked, dropout: float, plan: Training = PLAN, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Data and labels of all examples of a training, one batch after another."""
    asked.clear()
    learner, data = learner_of_points(replace(BASE, conditioning=Class(dropout=dropout)))
    list(Trainer(learner, plan, CPU).run(data, seed))
    values, labels = zip(*asked, strict=True)
    return torch.cat(values), torch.cat(labels)


def label_of(values: Tensor) -> Tensor:
    """The stored label of each point."""
    points, labels = learner_of_points(replace(BASE, conditioning=Class()))[1]
    return labels[torch.cdist(values, points).argmin(1)]


def test_a_network_is_told_the_label_of_each_example_but_for_a_share(asked):
    """Without dropout all of them; and K where none is stored."""
    for dropout in (0.0, 0.3):
        values, labels = told(asked, dropout, replace(PLAN, batch=30))
        stored = label_of(values)
        assert set(stored.tolist()) == {-1, 0, 1, 2}
        assert (labels[stored < 0] == CLASSES).all()
        labels, stored = labels[stored >= 0], stored[stored >= 0]
        dropped = labels == CLASSES
        assert torch.equal(labels[~dropped], stored[~dropped])
        error = (dropout * (1 - dropout) / len(labels)) ** 0.5
        assert dropped.double().mean().item() == pytest.approx(dropout, abs=4 * error)


def test_networks_start_alike_with_labels_and_without():
    """All but the embedding of labels, in a U-Net too."""
    for network, shape in ((BASE.network, (2,)), (UNet(channels=8, groups=4), (1, 8, 8))):
        states = []
        for conditioning in (Unconditional(), Class()):
            made = Diffusion(replace(BASE, network=network, conditioning=conditioning), Continuous(), shape, CLASSES)
            made.initialise(0)
            states.append(made.state_dict())
        plain, labelled = states
        assert all(torch.equal(value, labelled[key]) for key, value in plain.items())
        (more,) = labelled.keys() - plain.keys()
        assert len(labelled[more]) == CLASSES + 1


SHARES = torch.tensor([0.5, 0.0, 0.2, 0.3], dtype=torch.float64)


def test_any_run_of_samples_has_nearly_the_shares_of_the_classes():
    """Multiples of the golden ratio: of n in a run, an interval holds its share but for O(log n)."""
    for seed in range(5):
        labels = sample_labels(SHARES, 4096, seed)
        assert labels.dtype == torch.int64
        for length in (16, 64, 512, 2048):
            runs = labels.unfold(0, length, 37)
            counts = torch.stack([(runs == y).sum(1) for y in range(4)], 1)
            assert (counts - length * SHARES).abs().max() < 1.5 + 0.5 * math.log(length)
            assert (counts[:, 1] == 0).all()


def test_the_class_of_a_sample_is_its_own():
    """However many are drawn; of another seed another; from shares or from counts."""
    labels = sample_labels(SHARES, 300, 7)
    assert torch.equal(sample_labels(SHARES, 40, 7), labels[:40])
    assert torch.equal(sample_labels(torch.tensor([50, 0, 20, 30]), 300, 7), labels)
    assert not torch.equal(sample_labels(SHARES, 300, 8), labels)
    assert sample_labels(torch.ones(1), 5, 0).tolist() == [0] * 5
