"""Trainings side by side: whoever trains beside a learner, it reports and becomes what it does alone."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import pytest
import torch
from torch import Tensor

from diffusion_core.batches import Labelled
from diffusion_core.choices import Choices
from diffusion_core.conditioning import Class, Unconditional
from diffusion_core.couplings import Optimal
from diffusion_core.encodings import GreyLevels
from diffusion_core.fast import population
from diffusion_core.fast.population import Stack
from diffusion_core.learner import DiffusionLearner
from diffusion_core.networks.dit import Dit
from diffusion_core.networks.mlp import Mlp
from diffusion_core.networks.network import Network
from diffusion_core.networks.unet import UNet
from diffusion_core.objectives import Hybrid, MinSnr, Vlb, VlbContinuous
from diffusion_core.parameterizations import X0, V
from diffusion_core.schedules import Cosine, LearnedLinear, LearnedSchedule
from diffusion_core.timesteps import Importance, LowDiscrepancy
from diffusion_core.trainable import Learner
from diffusion_core.trainer import Trainer
from diffusion_core.training import Training
from diffusion_core.variances import BetaTilde, LearnedDiagonal, LearnedVariance
from tests.diffusion_core.learners import BASE, CLASSES, DIGITS, image_learner, learner_of_points, vq_learner

PLAN = Training(steps=5, batch=8, warmup=2, report_every=2, precision="float32", snapshots=2)
CPU = torch.device("cpu")
State = dict[str, Tensor]
Told = list[tuple[int, dict[str, float], dict[str, float], State]]


@dataclass(frozen=True)
class Run:
    """A training of a learner by its choices, of points or of digits, or of another kind of learner."""

    choices: Choices | Callable[[], tuple[Learner, Tensor]]
    plan: Training = PLAN
    seed: int = 0

    def learner(self) -> tuple[Learner, Tensor]:
        if not isinstance(self.choices, Choices):
            return self.choices()
        if isinstance(self.choices.network, Mlp):
            return learner_of_points(self.choices)
        learner = DiffusionLearner.of(self.choices, GreyLevels(17), (1, 8, 8), CLASSES)
        learner.diffusion.initialise(self.seed)
        return learner, Labelled(DIGITS, torch.arange(len(DIGITS)) % CLASSES) if learner.classes else DIGITS


class Meeting:
    """A room of trainings, of which one works at a time; those who have nothing left to bring leave it."""

    def __init__(self, members: int) -> None:
        self.floor = threading.Condition()
        self.present = members
        self.brought: dict[int, object] = {}
        self.shares: dict[int, object] = {}
        self.sizes: list[int] = []

    def meet(self, mine, work, place):
        self.brought[place] = mine
        while place not in self.shares:
            if len(self.brought) < self.present:
                self.floor.wait(timeout=60)
                continue
            places, self.sizes = list(self.brought), [*self.sizes, self.present]
            self.shares = dict(zip(places, work(list(self.brought.values())), strict=True))
            self.brought = {}
            self.floor.notify_all()
        return self.shares.pop(place)


def told(run: Run, beside=None, start=None) -> Told:
    """Step, losses, their deviations and the state of each report of a training."""
    learner, data = run.learner()
    reports = Trainer(learner, run.plan, CPU, beside=beside).run(data, run.seed, start)
    return [
        (r.step, r.losses, r.standard_deviations, {name: value.clone() for name, value in r.state().items()})
        for r in reports
    ]


alone = cache(told)


def together(runs: list[Run], starts=None) -> list[Told]:
    """The same of several trainings that meet at each piece of a batch."""
    meeting, ends = Meeting(len(runs)), {}

    def sit(place: int) -> None:
        with meeting.floor:
            try:
                start = starts[place] if starts else None
                ends[place] = told(runs[place], lambda mine, work: meeting.meet(mine, work, place), start)
            finally:
                meeting.present -= 1
                meeting.floor.notify_all()

    threads = [threading.Thread(target=sit, args=(place,)) for place in range(len(runs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [ends[place] for place in range(len(runs))]


def assert_same(mine: Told, expected: Told) -> None:
    assert [str(report[:3]) for report in mine] == [str(report[:3]) for report in expected]
    for (*_, state), (*_, other) in zip(mine, expected, strict=True):
        assert state.keys() == other.keys()
        bits = ((name, state[name].nan_to_num(7.5), other[name].nan_to_num(7.5)) for name in state)
        assert [name for name, a, b in bits if not torch.equal(a, b)] == []


def assert_as_alone(runs: list[Run]) -> None:
    for run, mine in zip(runs, together(runs), strict=True):
        assert_same(mine, alone(run))


@pytest.fixture
def passes(monkeypatch):
    """The numbers of networks that were taught by one pass, in order."""
    sizes: list[int] = []
    receive = Stack.receive

    def counted(self, means, *, first):
        sizes.append(len(self.members))
        receive(self, means, first=first)

    monkeypatch.setattr(Stack, "receive", counted)
    return sizes


LEARNED = replace(BASE, schedule=LearnedSchedule(width=4), objective=VlbContinuous(), time_input="log_snr")
WIDE = replace(BASE, variance=LearnedVariance(), schedule=Cosine(), objective=Hybrid(), horizon=6)
KINDS = (
    Run(BASE),
    Run(replace(BASE, parameterization=V(), objective=MinSnr()), replace(PLAN, learning_rate=1e-2), seed=1),
    Run(replace(BASE, parameterization=X0(), variance=BetaTilde(), objective=Vlb()), replace(PLAN, warmup=0), seed=2),
    Run(
        replace(BASE, schedule=Cosine(), timesteps=Importance(history=2), horizon=3, objective=Vlb()),
        replace(PLAN, ema=0.5),
    ),
    Run(replace(LEARNED, timesteps=LowDiscrepancy()), replace(PLAN, weight_decay=0.1)),
    Run(replace(LEARNED, schedule=LearnedLinear(), objective=Vlb()), replace(PLAN, beta_1=0.5), seed=3),
    Run(replace(BASE, schedule=Cosine(), horizon=7, time="discrete"), replace(PLAN, report_every=3)),
    Run(replace(BASE, coupling=Optimal()), seed=4),
)
"""Of one shape, and of all else differing."""
LABELLED = replace(BASE, conditioning=Class(dropout=0.3))
SHOWN = replace(BASE, conditioning=Unconditional(self_conditioning=True))
TOLD = (
    Run(LABELLED),
    Run(replace(LABELLED, conditioning=Class(dropout=0.0), parameterization=V()), replace(PLAN, clip=0.1), seed=1),
    Run(replace(LABELLED, conditioning=Class(dropout=0.9), schedule=Cosine()), seed=2),
    Run(SHOWN),
    Run(replace(SHOWN, parameterization=X0(), variance=BetaTilde(), objective=Vlb()), replace(PLAN, ema=0.5), seed=1),
    Run(replace(LABELLED, conditioning=Class(self_conditioning=True))),
    Run(replace(LABELLED, conditioning=Class(self_conditioning=True, dropout=0.9)), seed=1),
)
"""Told labels, by different shares, their own estimate, or both."""
TWICE = (
    Run(WIDE),
    Run(replace(WIDE, timesteps=Importance(history=2), horizon=3), seed=1),
    Run(replace(BASE, variance=LearnedDiagonal(), objective=Vlb(), horizon=40), seed=2),
)
"""Whose networks give a variance, too."""


def of_images(network: Network) -> tuple[Run, ...]:
    """Trainings of such a network on digits, of all else differing."""
    return tuple(Run(replace(run.choices, network=network), replace(run.plan, steps=3)) for run in KINDS[:5])


UNETS = of_images(UNet(channels=8, groups=4, attention=()))
TRANSFORMERS = of_images(Dit(width=16, depth=2, heads=2))


@pytest.mark.parametrize("pair", [(0, 1), (2, 3), (4, 5), (6, 7), (0, 4)], ids=str)
def test_two_that_differ_in_all_but_their_networks_shape_are_each_as_alone(pair, passes):
    assert_as_alone([KINDS[i] for i in pair])
    assert passes == [2] * PLAN.steps


def test_eight_of_all_kinds_are_each_as_alone(passes):
    assert_as_alone(list(KINDS))
    assert passes == [8] * PLAN.steps


def test_networks_that_are_told_labels_or_their_own_estimate_are_each_as_alone(passes):
    assert_as_alone([*TOLD, KINDS[0]])
    assert sorted(passes) == [2] * 2 * PLAN.steps + [3] * PLAN.steps


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("images", [UNETS, TRANSFORMERS], ids=["unet", "dit"])
def test_networks_of_images_that_are_told_more_are_each_as_alone(images, precision, passes):
    network, plan = images[0].choices.network, replace(PLAN, steps=2, precision=precision, micro_batch=5)
    assert_as_alone([Run(replace(run.choices, network=network), plan, run.seed) for run in TOLD[3:]])
    assert passes == [2, 2] * 2 * 2


def test_networks_that_give_a_variance_are_each_as_alone(passes):
    assert_as_alone(list(TWICE))
    assert passes == [3] * PLAN.steps


@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("images", [UNETS, TRANSFORMERS], ids=["unet", "dit"])
def test_networks_of_images_are_each_as_alone(images, precision, passes):
    assert_as_alone([replace(run, plan=replace(run.plan, precision=precision)) for run in images])
    assert passes == [5] * 3


def test_those_that_muon_teaches_and_others_are_each_as_alone(passes):
    plan = replace(PLAN, optimizer="muon", rate="linear")
    taught = [replace(run, plan=plan) for run in (KINDS[0], *KINDS[2:4])]
    assert_as_alone([*taught, KINDS[1], KINDS[4]])
    assert sorted(passes) == [2] * PLAN.steps + [3] * PLAN.steps


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_those_whose_gradients_are_clipped_are_each_as_alone(optimizer, passes):
    """Each by its own norm, whoever is beside it."""
    clips = {0: 1e-3, 1: 1.0, 2: 0.1, 4: 1e-2}
    plans = {i: replace(KINDS[i].plan, clip=clip, optimizer=optimizer) for i, clip in clips.items()}
    assert_as_alone([KINDS[3], *(replace(KINDS[i], plan=plan) for i, plan in plans.items())])
    assert max(passes) > 2


def test_batches_in_pieces_are_each_as_alone(passes):
    """The last piece is smaller; one takes its batch at once and meets the others at their first pieces."""
    drawing = Run(image_learner)
    pieces = [replace(run, plan=replace(run.plan, micro_batch=3)) for run in (*KINDS[:3], drawing, drawing)]
    assert_as_alone([*pieces, KINDS[0]])
    assert 3 in passes


def test_who_has_fewer_steps_leaves_and_the_others_go_on(passes):
    assert_as_alone([KINDS[0], replace(KINDS[1], plan=replace(KINDS[1].plan, steps=2)), KINDS[4]])
    assert passes == [3] * 2 + [2] * 3


def test_who_diverges_leaves_and_changes_no_bit_of_others():
    diverging = Run(BASE, replace(PLAN, learning_rate=1e30, warmup=0, report_every=1, steps=5))
    runs = [KINDS[1], diverging, KINDS[4]]
    ends = together(runs)
    assert not math.isfinite(ends[1][-1][1]["network"])
    for run, mine in zip(runs, ends, strict=True):
        assert_same(mine, alone(run))


def test_a_training_goes_on_in_another_company_as_if_it_were_alone():
    step, *_, state = together([KINDS[4], KINDS[1]])[0][0]
    before = {name: value.clone() for name, value in state.items()}
    others = [KINDS[2], KINDS[4], KINDS[0]]
    first, resumed, last = together(others, [None, (step, state), None])
    assert_same(first, alone(KINDS[2]))
    assert_same(resumed, alone(KINDS[4])[1:])
    assert_same(last, alone(KINDS[0]))
    assert all(torch.equal(state[name], before[name]) for name in state)


def test_networks_of_equal_parameters_that_compute_otherwise_are_taught_apart(passes):
    networks = [UNet(channels=8, groups=groups, heads=heads) for groups, heads in ((4, 2), (4, 4), (2, 2))]
    assert_as_alone([Run(replace(BASE, network=network), replace(PLAN, steps=2)) for network in networks])
    assert passes == []


def test_whose_networks_differ_meet_and_are_each_as_alone(passes):
    """Another width, another number of outputs, another precision, dropout, and a learner that asks no network."""
    narrow = Run(replace(BASE, network=Mlp(width=8, layers=1)))
    rounded = Run(BASE, replace(PLAN, precision="bf16"))
    assert_as_alone([KINDS[0], narrow, TWICE[0], rounded, Run(image_learner), Run(vq_learner), KINDS[1]])
    assert passes == [2] * PLAN.steps


def test_who_meets_others_at_some_steps_alone_is_as_alone():
    """At each step the members are grouped anew, in another order."""
    companies = [[(0, 1, 2)], [(2, 0), (1,)], [(0, 1), (2,)], [(2, 0), (1,)], [(0,), (1,), (2,)], [(2, 1, 0)]]
    runs = [replace(KINDS[i], plan=replace(PLAN, report_every=5)) for i in (0, 1, 4)]
    learners = [run.learner() for run in runs]
    meeting: list[tuple[Trainer, Tensor]] = [(Trainer(own, PLAN, CPU), data[:8]) for own, data in learners]
    lone = [(Trainer(own, PLAN, CPU), data[:8]) for own, data in (run.learner() for run in runs)]
    for step, groups in enumerate(companies):
        for group in groups:
            taught(step, [meeting[i] for i in group])
        for trainer, data in lone:
            trainer.step(data, 0, step)
    for (mine, _), (own, _) in zip(meeting, lone, strict=True):
        state = own.state()
        assert [name for name, value in mine.state().items() if not torch.equal(value, state[name])] == []


def taught(step: int, company: list[tuple[Trainer, Tensor]]) -> None:
    """A step of several, in the order in which they are told."""
    pieces: list[population.Piece] = []
    descents: list[population.Descent] = []

    class Gathered(Exception):
        pass

    def gather(piece, work):
        pieces.append(piece)
        raise Gathered

    for trainer, data in company:
        trainer.beside = gather
        with pytest.raises(Gathered):
            trainer.step(data, 0, step)
    descents = population.learn(pieces)
    for (trainer, data), descent in zip(company, descents, strict=True):
        trainer.beside = lambda piece, work, descent=descent: descent
        trainer.step(data, 0, step)


def test_members_that_meet_in_another_order_keep_their_stack():
    company = [(Trainer(own, PLAN, CPU), data[:8]) for own, data in (KINDS[i].learner() for i in (0, 1))]
    taught(0, company)
    stack = company[0][0].member.stack
    taught(1, company[::-1])
    assert company[0][0].member.stack is company[1][0].member.stack is stack
