"""As many cells at a time on a GPU as its memory holds: what is measured, what is made of it, and what is said."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from ablations.driver import packing
from ablations.driver.packing import BATCH, CALLS, MOST, Memory, free_around, packed
from ablations.driver.work_units import Pass
from ablations.launchers.local import Local
from ablations.search.plan import plan_search
from ablations.search.study import make as make_study
from ablations.settings.arguments import parse_search
from ablations.stages.training import TrainingStage
from tests.ablations.conftest import TINY, over, plan_of
from tests.simulated_cuda import simulated_cuda

GB = 10**9
WORDS = [word for word in TINY if word != "network.channels=8"]
PER_CELL = "a worker takes 2.00 GB at its most of 10.00 GB that are free"


@pytest.fixture
def planned():
    found = plan_of(*WORDS, "network.channels=8,16", "variance=beta,beta_tilde")
    return found.here, found.stages()


def conditions(here, *devices, **fields):
    return replace(here, launcher=Local(**fields), devices=list(devices))


@pytest.mark.parametrize(
    ("free", "taken", "expected"), [(10, 2, 4), (10, 3, 3), (10, 9, 1), (10, 9.1, 1), (10, 40, 1), (80, 1, 72)]
)
def test_nine_tenths_of_what_is_free_is_given_to_workers_and_one_may_always_run(free, taken, expected):
    assert Memory(int(free * GB), int(taken * GB)).fitting == expected


@pytest.mark.parametrize(
    ("cores", "gpus", "taken", "expected", "said"),
    [
        (64, 1, 2.0, 4, f"4 cell(s) at a time on a GPU, {PER_CELL}\n"),
        (6, 2, 2.0, 3, f"3 cell(s) at a time on a GPU, {PER_CELL}, where 4 would fit (at most 3: CPU cores, {MOST})\n"),
        (1, 2, 2.0, 1, "1 cell(s) at a time"),
        (64, 1, 0.1, MOST, "where 90 would fit"),
    ],
)
def test_they_are_as_many_as_memory_and_cores_hold_and_a_line_says_so(
    planned, cores, gpus, taken, expected, said, monkeypatch, capsys
):
    here, stages = planned
    asked = []

    def measured(stages, device):
        asked.append((sorted(stage.kind for stage in stages), device))
        return Memory(10 * GB, int(taken * GB))

    monkeypatch.setattr(packing, "measured", measured)
    monkeypatch.setattr(packing, "cores", lambda: cores)
    names = [f"cuda:{i}" for i in range(gpus)]
    assert packed(conditions(here, *names, per_gpu="auto"), stages).devices == names * expected
    assert said in capsys.readouterr().out
    # Both networks in each way that one is taken, once.
    assert asked == [(sorted(["training", "bound", "samples"] * 2), "cuda:0")]


def test_nothing_is_measured_where_nobody_asked_or_nothing_runs(planned, monkeypatch):
    here, stages = planned
    monkeypatch.setattr(packing, "measured", lambda *given: pytest.fail("it was measured"))
    for there, some in (
        (conditions(here, "cpu", "cpu", per_gpu="auto"), stages),
        (conditions(here, "cuda:0", "cuda:0", per_gpu=2), stages),
        (conditions(here, "cuda:0", per_gpu="auto"), []),
    ):
        assert packed(there, some) == there


def test_what_cannot_be_measured_runs_one_at_a_time_and_is_said(planned, monkeypatch, capsys):
    def fails(stages, device):
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")

    here, stages = planned
    monkeypatch.setattr(packing, "measured", fails)
    assert packed(conditions(here, "cuda:0", per_gpu="auto"), stages).devices == ["cuda:0"]
    assert "memory could not be measured (OutOfMemoryError: CUDA out of memory.)\n" in capsys.readouterr().out


def test_no_identity_knows_of_it(planned):
    here, stages = planned
    several, one = conditions(here, "cuda:0", "cuda:0", per_gpu="auto"), conditions(here, "cuda:0")
    with simulated_cuda():
        assert [several.id_of(stage.cell) for stage in stages] == [one.id_of(stage.cell) for stage in stages]


def test_images_and_passes_are_what_a_worker_is_seen_to_take(planned, monkeypatch):
    here, stages = planned
    (first, *_) = [stage for stage in stages if isinstance(stage, TrainingStage)]

    def maker(cell, data, device, count):
        return Pass(lambda: torch.empty(count, dtype=torch.uint8, device=device), 1)

    monkeypatch.setattr(packing, "maker_of", lambda stage: maker)
    with simulated_cuda():
        begun, ended = free_around([first], "cuda:0")
    images = here.data.images
    assert begun - ended == images["train"].numel() + CALLS * min(BATCH, len(images["test"]))


@pytest.mark.thorough
@pytest.mark.parametrize("space", [[], ["space=latents", "space.f=2", "space.width=8"]], ids=["pixels", "latents"])
def test_every_kind_of_pass_takes_memory_and_the_larger_network_more(space):
    taken = []
    for channels in (8, 16):
        found = plan_of(*WORDS, f"network.channels={channels}", *space)
        kinds = {stage.kind: stage for stage in found.stages() if stage.kind in ("training", "bound", "samples")}
        with simulated_cuda():
            each = {kind: free_around([stage], "cuda:0") for kind, stage in kinds.items()}
        taken.append({kind: begun - ended for kind, (begun, ended) in each.items()})
    small, large = taken
    assert small.keys() == {"training", "bound", "samples"}
    assert all(math.prod(found.here.data.images["train"].shape) < small[kind] < large[kind] for kind in small)


def test_of_a_search_the_ends_and_choices_of_what_is_searched_are_measured():
    more = ["network.channels=8,24", "training.batch=range(16,65,16)", "study.sampler=random", "trials=2"]
    study = plan_search(make_study(parse_search(over(WORDS, *more))), Local(), ["cpu"])
    found = {(stage.cell.network.channels, stage.cell.training.batch) for stage in study.demanding()}
    default = study.default
    assert {channels for channels, _ in found} >= {8, 24, default.network.channels}
    assert {batch for _, batch in found} >= {16, 64, default.training.batch}
