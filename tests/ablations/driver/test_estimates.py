"""Estimates count each stage's passes at the seconds of the pass that it takes. No test looks at how long one takes."""

from __future__ import annotations

import pytest
import torch

from ablations.driver import estimates, passes
from ablations.driver.passes import Pass
from ablations.driver.plan import plan
from ablations.grids.grid import make
from ablations.launchers.serial import Serial
from ablations.settings.arguments import parse_run
from ablations.stages.graph import work
from tests.ablations.conftest import TINY

CPU = torch.device("cpu")
MEASURES = ("training_pass", "scoring_pass", "sampling_pass", "autoencoder_pass")


def planned(*words):
    return plan(make(parse_run(list(words))), Serial(), ["cpu"])


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("parameterization=mu", "sampler.steps=5"),
        ("schedule=learned", "objective=vlb"),
        ("variance=learned", "objective=hybrid"),
        ("space=latents", "space.f=2", "space.steps=10"),
        ("data=mixture2d", "network=mlp"),
    ],
    ids=" ".join,
)
def test_every_kind_of_pass_can_be_measured(words, monkeypatch):
    monkeypatch.setattr(estimates, "MEASURED", 1e-3)
    tiny = TINY if "network=mlp" not in words else [word for word in TINY if not word.startswith("network.")]
    found = planned(*tiny, *words)
    assert estimates.seconds_of(found.stages(), "cpu") > 0


def test_each_network_is_measured_once_in_each_way_and_passes_count_at_their_own_seconds(monkeypatch):
    found = planned(
        *(word for word in TINY if word != "network.channels=8"), "network.channels=8,16", "variance=beta,beta_tilde"
    )
    asked = []
    for i, name in enumerate(MEASURES):

        def make(cell, data, device, count, name=name, seconds=10.0**-i):
            asked.append((name, cell.network.channels))
            return Pass(lambda: seconds, 1)

        monkeypatch.setattr(passes, name, make)
    monkeypatch.setattr(estimates, "_seconds", lambda action, device: action())
    seconds = estimates.seconds_of(found.stages(), "cpu")
    assert sorted(asked) == sorted((name, channels) for name in MEASURES[:3] for channels in (8, 16))
    kinds = {"training": 1.0, "bound": 0.1, "samples": 0.01, "floor": 0.0}
    expected = sum(kinds[stage.kind] * work(stage, found.here.data) for stage in found.stages())
    assert seconds == pytest.approx(expected)
    # 2 trainings of 60 steps of 64 images at 3 passes each, and 4 cells' draws and samples.
    assert seconds > 2 * 60 * 64 * 3
