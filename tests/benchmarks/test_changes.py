"""A measure for speed is undone as its words say, and a step works out the same without it."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from benchmarks import changes
from benchmarks.cases import SMALL, Workload
from benchmarks.changes import MEASURES, NOTHING, training_step
from benchmarks.timing import Timing
from diffusion_core.learner import DiffusionLearner
from diffusion_core.training import Training
from tests.axes import thinned

WORKLOAD = Workload(SMALL, (1, 8, 8), 16, torch.device("cpu"))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A compilation that takes what it traced as it is."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))


@pytest.mark.slow
@pytest.mark.parametrize("undone", thinned(MEASURES, 3, [measure.words for measure in MEASURES]))
def test_a_step_with_a_measure_undone_has_the_losses_of_one_as_it_is(undone):
    def losses(measure):
        plan = Training(batch=16, precision="float32")
        diffusion = WORKLOAD.diffusion(objective=undone.objective)
        trainer = measure.trainer(DiffusionLearner(diffusion), plan, changes.CPU)
        measure.network(diffusion.network)
        with measure.around():
            return torch.stack([trainer.step(WORKLOAD.images, 0, step)["network"] for step in range(3)])

    torch.testing.assert_close(losses(undone), losses(NOTHING), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("undone", thinned(MEASURES, 3, [measure.words for measure in MEASURES]))
def test_what_is_undone_is_done_again_after_a_step(undone):
    known = [changes.fused.works, changes.layers.attend, changes.unet.modulations, changes.Diffusion.term_of]
    training_step(WORKLOAD, undone, undone.objective)()
    assert known == [changes.fused.works, changes.layers.attend, changes.unet.modulations, changes.Diffusion.term_of]


@pytest.mark.slow
def test_the_page_has_a_row_for_each_measure_at_each_size(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(
        changes, "interleaved", lambda cases, rounds, device: {name: Timing(1.0, 1.5) for name in cases}
    )
    assert changes.main(["rounds=1", f"out={tmp_path / 'changes.md'}"]) == 0
    text = (tmp_path / "changes.md").read_text()
    assert text == capsys.readouterr().out
    assert all(text.count(f"| {measure.words} | 1.50 |") == len(changes.SIZES) for measure in MEASURES)
    assert text.count("| 1.50 |  |") == 2 * len(changes.SIZES)
    assert changes.main(["threads=0"]) == 2
