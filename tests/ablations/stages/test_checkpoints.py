"""Samples in turn from late checkpoints: each set is that of a training which ends there."""

import pytest

from analysis.errors import InputError
from tests.ablations.cells import TINY, cell_of, over, result_of, stages_of_cell

FID = "fid/train/digits-cnn"
WORDS = over(TINY, "training.steps=20", "training.report_every=2", "evaluation.n=32", "sampler.steps=3")
THREE = ["evaluation.sets=3", "evaluation.checkpoints=3"]


def sets_of(root, *words):
    """The FID of each set of a cell."""
    stages = stages_of_cell(*over(WORDS, *words))
    results = {stage.kind: result_of(stage, root) for stage in stages if stage.kind in ("training", "samples")}
    return results["samples"].curves[f"sets/{FID}"][1]


def test_sets_are_those_of_trainings_that_end_at_the_checkpoints(tmp_path, few_digits):
    """The rate of this trainer is constant, so a training of 18 steps is the beginning of one of 20."""
    late = sets_of(tmp_path / "late", "evaluation.sets=4", "evaluation.checkpoints=2")
    whole = sets_of(tmp_path / "whole", "evaluation.sets=4")
    short = sets_of(tmp_path / "short", "evaluation.sets=4", "training.steps=18")
    assert late == [whole[0], short[1], whole[2], short[3]]
    assert whole[1] != short[1]


def test_checkpoints_change_the_samples_alone_and_one_is_the_default():
    plain, one, three = (
        {(stage.kind, stage.id) for stage in stages_of_cell(*over(WORDS, *words)) if not stage.optional}
        for words in (["evaluation.sets=3"], ["evaluation.sets=3", "evaluation.checkpoints=1"], THREE)
    )
    assert plain == one
    assert {kind for kind, _ in plain ^ three} == {"samples"}


@pytest.mark.parametrize("words", [["average=0.1"], ["training.rate=wsd"], ["training.steps=8"]])
def test_a_training_that_leaves_none_is_refused(words):
    with pytest.raises(InputError, match=r"^evaluation\.checkpoints=3 reads averages on the way"):
        cell_of(*over(WORDS, *THREE, "training.snapshots=16", *words))


def test_sets_are_shared_equally():
    with pytest.raises(InputError, match=r"take evaluation\.sets=3 or a multiple of it"):
        cell_of(*over(WORDS, *THREE, "evaluation.sets=4"))
