"""Room on a disk is what stages really leave there."""

from __future__ import annotations

import pytest

from ablations.driver.beginning import bytes_of, on_disk
from ablations.engine.journal import Journal
from ablations.engine.perform import perform
from tests.ablations.conftest import plan_of

WORDS = ("horizon=25", "network.channels=8", "training.steps=2", "training.report_every=1", "training.warmup=0")


@pytest.mark.thorough
@pytest.mark.parametrize(
    "more", [(), ("evaluation.rungs=1", "training.snapshots=2"), ("space=latents", "space.steps=2", "space.width=8")]
)
def test_it_is_what_stages_leave(more, tmp_path, few_digits):
    found = plan_of(*WORDS, *more, "seeds=1")
    for stage in found.stages():
        assert perform(stage, Journal(tmp_path), "cpu") in ("finished", "diverged"), Journal(tmp_path).failure(stage.id)
    kept = ("weights", "average-", "snapshot-", "samples", "bound")
    left = sum(path.stat().st_size for path in tmp_path.glob("*/*.safetensors") if path.name.startswith(kept))
    told = bytes_of(found.stages(), 0, found.here.data)
    # Files also have heads, and statistics of a sampler, of a few kilobytes each.
    assert 0.7 * left < told < 1.02 * left
    assert bytes_of(found.stages(), 2, found.here.data) > 2 * told


def test_an_autoencoder_keeps_no_averages_for_snapshots():
    words = (*WORDS, "space=latents", "space.width=8")
    found, other = (plan_of(*words, f"training.snapshots={count}") for count in (0, 2))
    first, second = (bytes_of([plan.stages()[0]], 2, plan.here.data) for plan in (found, other))
    assert first == second


def test_it_says_what_is_free_where_a_folder_will_be(tmp_path):
    assert on_disk(3_000_000, tmp_path / "not" / "yet").startswith("about 3 MB on disk, of ")
