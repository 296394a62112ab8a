"""What a training costs: memory as the system counts it, and operations counted by hand."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
import torch

from ablations.engine.journal import Journal
from ablations.grids.grid import make
from ablations.settings.arguments import parse_run
from ablations.settings.budget import bound_passes, forward_flops, train_flops
from ablations.settings.evaluation import Evaluation
from ablations.stages.devices import peak_memory, reset_peak_memory
from ablations.stages.restore import build
from diffusion_core.choices import Choices
from diffusion_core.diffusion import Diffusion
from diffusion_core.encodings import Continuous
from diffusion_core.networks.dit import Dit
from diffusion_core.networks.unet import UNet
from diffusion_core.stratified import Stratification

CPU = torch.device("cpu")
MEMORY = "cost/peak_memory_bytes"


def cell_of(*words):
    return make(parse_run(["data=mixture2d", "network=mlp", "horizon=25", *words])).points[0].cell


@pytest.mark.skipif(sys.platform != "linux", reason="the mark is Linux's")
def test_the_mark_is_of_what_was_used_since_it_was_set_back():
    if not reset_peak_memory(CPU):
        pytest.skip("this kernel has no mark that can be set back")
    before = peak_memory(CPU)[MEMORY]
    size = 1 << 28
    held = torch.ones(size // 4)
    assert peak_memory(CPU)[MEMORY] >= before + 0.9 * size
    del held
    # What was freed still counts, until the mark is set back.
    assert peak_memory(CPU)[MEMORY] >= before + 0.9 * size
    assert reset_peak_memory(CPU)
    assert peak_memory(CPU)[MEMORY] <= before + 0.5 * size


def test_the_systems_words_are_read_as_kibibytes(tmp_path):
    (tmp_path / "status").write_text("Name:\tpython\nVmPeak:\t  999 kB\nVmHWM:\t    2048 kB\nVmRSS:\t    3 kB\n")
    assert reset_peak_memory(CPU, tmp_path)
    assert (tmp_path / "clear_refs").read_text() == "5"
    assert peak_memory(CPU, tmp_path) == {MEMORY: 2048 * 1024.0}


def test_where_the_system_does_not_say_there_is_no_such_metric(tmp_path):
    assert not reset_peak_memory(CPU, tmp_path / "nowhere")
    assert peak_memory(CPU, tmp_path / "nowhere") == {}
    (tmp_path / "status").write_text("Name:\tpython\n")
    assert peak_memory(CPU, tmp_path) == {}


@pytest.mark.parametrize("can", [True, False])
def test_a_training_says_what_memory_it_took_where_that_can_be_told(can, tmp_path, monkeypatch):
    from ablations.engine.perform import perform
    from ablations.stages import training_loop
    from ablations.stages.graph import stages_of

    cell = cell_of("training.steps=4")
    stage = stages_of(cell, cell.data.load().digest, "float32", None)[0]
    monkeypatch.setattr(training_loop, "reset_peak_memory", lambda device: can)
    assert perform(stage, Journal(tmp_path), "cpu") == "finished"
    metrics = Journal(tmp_path).result(stage.id).metrics
    assert (MEMORY in metrics) == can
    # A worker holds at least torch.
    assert metrics.get(MEMORY, 1e9) > 5e7


def test_operations_of_a_forward_pass_are_those_of_its_matrices():
    cell = cell_of()
    diffusion = build(cell, cell.data.load().encoding, cell.data.load(), CPU).diffusion
    matrices = [p for name, p in diffusion.network.named_parameters() if p.ndim == 2 and "weight" in name]
    assert forward_flops(diffusion) == sum(2 * p.numel() for p in matrices)


def test_a_transformer_takes_as_many_operations_of_digits_as_a_u_net():
    """Of 16 patches, by hand: a block's matrices, its two products of attention, what tells it the time."""
    choices = Choices(network=UNet()), Choices(network=Dit())
    unet, dit = (forward_flops(Diffusion(own, Continuous(), (1, 8, 8))) for own in choices)
    width = Dit().width
    block = 16 * 12 * width**2 + 2 * 16 * 16 * width + 6 * width**2
    around = 256 * width + width**2 + 16 * 4 * width + 2 * width**2 + 16 * width * 4
    assert dit == 2 * (Dit().depth * block + around)
    assert abs(dit / unet - 1) < 0.03


def test_a_training_step_counts_three_passes_and_a_learned_schedule_more():
    plain, learned = cell_of(), cell_of("schedule=learned")
    assert train_flops(plain, 10.0, 7) == 3 * 10 * 7
    # One backward pass for the network and one for the schedule.
    assert train_flops(learned, 10.0, 7) == 5 * 10 * 7
    assert train_flops(replace(plain, seed=4), 10.0, 0) == 0


def test_the_flow_takes_four_slopes_a_step_each_with_its_probes():
    """A slope is a pass and, for each probe, a backward pass, which counts two."""
    asked = ["horizon=25", "evaluation.exact=4", "evaluation.strata=3", "evaluation.ode=2", "evaluation.ode_steps=5"]
    cell = make(parse_run([*asked, "evaluation.continuous=6", "evaluation.iwae=3"])).points[0].cell
    # Two halves: 4 times at both ends, the first three times and the second twice, and 3 runs between them.
    assert bound_passes(cell) == (2 * (4 + 2 + 1 + 3 + 4), 6, 5 * 4 * (1 + 2 * 2), 2 * 3 * 25, 0)
    assert bound_passes(replace(cell, evaluation=replace(cell.evaluation, horizon=10)))[3] == 2 * 3 * 10


def test_the_core_takes_the_suites_own_terms_of_a_bound_unless_it_is_told_others():
    assert Stratification() == Stratification(Evaluation.exact, Evaluation.strata)
