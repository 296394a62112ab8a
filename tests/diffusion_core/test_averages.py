"""Averages after the fact: held to the figures of their authors' code, and to sums over a path."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from diffusion_core.averages import (
    KEPT,
    Power,
    Raw,
    Tracked,
    coefficients,
    exponent,
    kept_share,
    products,
    profile_error,
    reconstruct,
)
from diffusion_core.trainer import Trainer, batch_indices, part, training_reports
from diffusion_core.training import Training
from tests.diffusion_core.learners import points_learner, schedule_learner
from tests.diffusion_core.test_training import assert_same, saved

FIGURES = np.load(Path(__file__).parents[1] / "reference" / "edm2_phema.npz")
"""Of NVlabs/edm2, `phema.py` at 4bf8162, float64."""
CPU = torch.device("cpu")
PLAN = Training(steps=12, batch=16, warmup=4, report_every=3, snapshots=4)


def figure(name: str) -> Tensor:
    return torch.from_numpy(FIGURES[name])


def close(found, expected, rtol=1e-10, atol=0.0):
    torch.testing.assert_close(torch.as_tensor(found, dtype=torch.float64), expected, rtol=rtol, atol=atol)


def profile(time: int, std: float) -> Tensor:
    """The shares of weights after steps 1 … `time`, by integrals of τ^γ over each step."""
    ends = torch.arange(time + 1, dtype=torch.float64) / time
    return (ends ** (exponent(std) + 1)).diff()


def test_exponents_and_widths_are_their_authors():
    close([exponent(std) for std in FIGURES["std"]], figure("exp"))
    close([exponent(std) for std in FIGURES["std_of_exp"]], figure("exponents"))


def test_the_share_that_is_kept_is_their_authors():
    pairs = list(zip(FIGURES["beta_t_next"], FIGURES["beta_t_delta"], strict=True))
    found = [[kept_share(std, time, delta) for time, delta in pairs] for std in FIGURES["beta_std"]]
    close(found, figure("beta"))


@pytest.mark.parametrize("case", "abcde")
def test_products_and_coefficients_are_their_authors(case):
    times, stds, at, wanted = (FIGURES[f"solve_{case}/{name}"] for name in ("in_ofs", "in_std", "out_ofs", "out_std"))
    close(products(times, stds, times, stds), figure(f"solve_{case}/A"))
    close(products(times, stds, at, wanted), figure(f"solve_{case}/B"))
    found = [coefficients(times, stds, time, std) for time, std in zip(at, wanted, strict=True)]
    close(torch.stack(found, 1), figure(f"solve_{case}/X"), rtol=0, atol=1e-10)


def test_averages_of_a_path_are_reconstructed_as_their_authors_do():
    pairs = [(time, std) for time in FIGURES["path/in_ofs"] for std in FIGURES["path/in_std"]]
    kept = figure("path/snapshots").flatten(0, 1)
    for i, at in enumerate(FIGURES["path/out_ofs"]):
        there = [k for k, (time, _) in enumerate(pairs) if time <= at]
        times, stds = [pairs[k][0] for k in there], [pairs[k][1] for k in there]
        for j, std in enumerate(FIGURES["path/out_std"]):
            x = coefficients(times, stds, at, std)
            found = reconstruct(({"weight": kept[k]} for k in there), x)["weight"]
            close(found, figure("path/reconstructed")[i, j], rtol=0, atol=1e-10)
            tracked = profile(int(at), std) @ figure("path/weights")[: int(at)]
            close(tracked, figure("path/tracked")[i, j], rtol=0, atol=1e-10)


@pytest.mark.parametrize("std", [0.02, 0.25])
def test_the_error_that_is_foretold_is_that_of_the_profile(std):
    """By sums over fine steps, which come to the integral."""
    times, stds = [2500, 2500, 5000, 5000, 7500, 7500, 10000, 10000], list(KEPT) * 4
    wanted, found = profile(10000, std), torch.zeros(10000, dtype=torch.float64)
    for weight, time, own in zip(coefficients(times, stds, 10000, std), times, stds, strict=True):
        found[:time] += weight * profile(time, own)
    expected = float((found - wanted).norm() / wanted.norm())
    assert profile_error(times, stds, 10000, std) == pytest.approx(expected, rel=1e-3, abs=1e-7)


def test_snapshots_change_nothing_else_and_a_run_that_is_cut_takes_the_same_ones():
    def reports(plan=PLAN, start=None):
        learner, data = schedule_learner()
        made = training_reports(learner, data, plan, 0, start)
        return [(report.step, report.losses, saved(report), report.snapshots) for report in made]

    plain, (first, *rest) = reports(replace(PLAN, snapshots=0)), reports()
    for (_, losses, state, none), (_, own_losses, own, snapshots) in zip(plain, (first, *rest), strict=True):
        assert losses == own_losses
        assert_same(state, {name: value for name, value in own.items() if not name.startswith("power/")})
        assert (len(none), len(snapshots)) == (0, 1)
    assert tuple(step for *_, snapshots in (first, *rest) for step in snapshots) == PLAN.snapshot_steps
    for again, expected in zip(reports(start=(first[0], first[2])), rest, strict=True):
        assert_same(again[2], expected[2])
        for step, snapshot in expected[3].items():
            assert_same(again[3][step], snapshot)


def test_averages_of_a_training_are_the_learners_its_tracked_one_and_any_of_its_snapshots():
    """Of 60 steps: within 1 % of what is summed up over all of its weights, and a tenth of what these are off it; the
    two that are kept are that sum."""
    plan = replace(PLAN, steps=60, learning_rate=8e-3, snapshots=20)
    learner, data = points_learner()
    made, path, kept = Trainer(learner, plan, CPU), [], {}
    for step in range(plan.steps):
        made.step(data[batch_indices(0, step, len(data), plan.batch)], 0, step)
        path.append(torch.cat([value.detach().flatten().double() for value in learner.parameters()]))
        if step + 1 in plan.snapshot_steps:
            kept[step + 1] = {name: value.clone() for name, value in made.averages.state().items()}
    of, names = partial(part, made.state()), [name for name, _ in learner.named_parameters()]
    tracked = {std: profile(60, std) @ torch.stack(path) for std in (0.03, *KEPT, 0.15, 0.2)}
    assert_same(Raw().weights(of, kept.get, plan), learner.state_dict())
    assert_same(Tracked().weights(of, kept.get, plan), made.averages.tracked.state_dict())
    for std in KEPT:
        found = torch.cat([kept[60][f"{std}/{name}"].flatten().double() for name in names])
        torch.testing.assert_close(found, tracked[std], rtol=1e-5, atol=1e-6)
    for std, expected in tracked.items():
        weights = Power(std).weights(of, kept.get, plan)
        assert weights.keys() == learner.state_dict().keys()
        found = torch.cat([weights[name].flatten().double() for name in names])
        assert (found - expected).norm() < min(0.01 * expected.norm(), 0.1 * (path[-1] - expected).norm())


@pytest.mark.parametrize(
    ("average", "plan", "reason"),
    [
        (Power(0.05), {"snapshots": 0}, "training.snapshots=0 keeps none: take training.snapshots=32, or average=tr"),
        (Power(0.01), {"snapshots": 32}, r".17% off, 5% are allowed.: take training.snapshots=128, or an average betw"),
        (Power(0.004), {"snapshots": 32, "steps": 60}, "from 32 snapshots .*: take more training.steps, or an average"),
        *((Power(std), {"snapshots": 32}, None) for std in (0.02, 0.25)),
        (Tracked(), {}, None),
    ],
)
def test_an_average_that_snapshots_do_not_tell_is_refused(average, plan, reason):
    found = average.refusal(Training(**plan))
    assert found is None if reason is None else re.search(reason, found)
