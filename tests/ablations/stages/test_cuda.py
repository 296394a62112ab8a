"""Every value of every axis goes through all stages of a cell on a CUDA device, and scores there what it does here."""

from __future__ import annotations

from functools import partial

import pytest

from ablations.data.shipped import Digits, Patches
from ablations.grids.grid import make
from ablations.metrics.extractors import ARCHITECTURES
from ablations.metrics.metric import SCALE
from ablations.metrics.registry import metric_of, names
from ablations.metrics.scoring import extractor_identity
from ablations.settings.arguments import parse_run
from ablations.stages import autoencoder, training
from ablations.stages.graph import stages_of
from ablations.stages.metrics import floor_of, metric_floors, metric_stages
from ablations.stages.training_loop import Trained
from diffusion_core.fast import convolution, fused
from tests.ablations.cells import reproducible, result_of
from tests.ablations.conftest import few_of
from tests.ablations.pairs import all_values
from tests.ablations.test_pairs import Coarse
from tests.sampling import sampled

LARGE = "fid_infinity"
"""A metric of more images than a few digits are."""


def metrics_of(kind):
    asked = [name for name in names() if kind in metric_of(name).info.of and name != LARGE]
    return f"evaluation.metrics=[{','.join(asked)}]"


RUNGS = "evaluation.rungs=1 evaluation.judged_rungs=1"
CELLS = (
    f"{RUNGS} {metrics_of('images')} evaluation.quality=[validation,test]",
    "parameterization=mu variance=learned objective=hybrid timesteps=importance schedule=cosine first_step=beta_1 "
    "sampler=ancestral sampler.steps=5 spacing=quadratic evaluation.iwae=2 training.clip=0.1 average=raw "
    f"evaluation.n=130 evaluation.metrics=[{LARGE}]",
    "parameterization=x0 variance=learned_diagonal objective=vlb schedule=sigmoid time_input=log_snr "
    "sampler=dpm_solver network=dit evaluation.n=20 evaluation.reference=test "
    "guidance.scale=2.0 guidance.by=rung evaluation.rungs=1",
    "parameterization=v variance=analytic objective=vlb_continuous timesteps=low_discrepancy schedule=learned "
    "time_input=log_snr sampler=ddim sampler.steps=5 spacing=trailing evaluation.continuous=2 "
    "average=power average.std=0.08",
    "parameterization=velocity variance=analytic_mse objective=weighted timesteps=logit_normal schedule=rectified "
    "sampler=ddim sampler.steps=5 sampler.eta=1 spacing=log_snr horizon=12 training.rate=inverse_sqrt "
    "training.optimizer=muon",
    "parameterization=edm variance=beta_tilde objective=edm timesteps=log_normal schedule=log_snr_linear "
    "time=continuous sampler=heun evaluation.ode=1 horizon=12 coupling=optimal "
    "guidance.scale=auto guidance.scales=[1.0,2.0] guidance.by=cell guidance.guide=['training.ema=0.9'] "
    "guidance.high=5.0",
    "parameterization=v objective=min_snr schedule=cosine schedule.zero_terminal=True schedule.shift=3.0 "
    "evaluation.horizon=5 evaluation.reference=train spacing=karras horizon=12 coupling=immiscible training.rate=wsd "
    "training.steps=8 evaluation.rungs=1",
    "space=latents variance=analytic_mse objective=p2 schedule=learned_linear budget=flops evaluation.horizon=5 "
    "spacing=optimal sampler=heun sampler.churn=10 sampler.skip=0.2 training.steps=8",
    "space=latents space.f=4 horizon=0 evaluation.iwae=2",
    "space=latents space.regularization=vq schedule=linear schedule.shift=3.0 sampler.steps=5 training.precision=bf16 "
    "conditioning=class guidance.scale=2.0",
    "data=mixture2d network=mlp conditioning=unconditional conditioning.self_conditioning=True "
    f"evaluation.estimates=2 {metrics_of('points')}",
    "data=patches data.size=8 training.flips=True",
)
"""Cells that show every value, each beside the defaults."""
TINY = (
    "horizon=25 training.steps=4 training.batch=16 training.learning_rate=1e-4 "
    "training.warmup=1 training.report_every=2 training.precision=float32 "
    "evaluation.exact=2 evaluation.strata=2 evaluation.sets=1 evaluation.fit=8 evaluation.ode_steps=2"
)
TINY_UNET = "network.channels=8 network.multipliers=[1] network.attention=[]"
TINY_MLP = "network.width=16 network.layers=2"
TINY_DIT = "network.width=16 network.depth=1 network.heads=2"
TINY_SPACE = "space.steps=2 space.width=8 space.batch=8"


def cell_of(choices):
    """The cell of these words, whose own settings stand over what makes it tiny."""
    network = TINY_MLP if "mlp" in choices else TINY_DIT if "network=dit" in choices else TINY_UNET
    words = [*TINY.split(), *network.split()]
    words += TINY_SPACE.split() if "space=latents" in choices else []
    settings = dict(word.split("=", 1) for word in [*words, *choices.split()])
    return make(parse_run([f"{key}={value}" for key, value in settings.items()])).points[0].cell


def all_stages(cell):
    """All stages of a cell, of the metrics that it asks for, and of its floor."""
    digest, extractor = cell.data.load().digest, extractor_identity(cell)
    stages = stages_of(cell, digest, "float32", extractor)
    floors = [floor_of(cell, digest, extractor), *metric_floors([cell], digest, extractor)]
    return [*stages, *metric_stages(cell, stages), *floors]


@pytest.fixture
def untaught(monkeypatch):
    """What hardly learns is not called collapsed, and both devices take torch's own operations."""
    monkeypatch.setattr(autoencoder, "collapse", lambda *_: "")
    monkeypatch.setitem(ARCHITECTURES, Patches.extractor, Coarse)
    monkeypatch.setattr(fused, "works", lambda: False)
    monkeypatch.setattr(convolution, "dependent", lambda case: frozenset())
    with few_of(Digits(), Patches(8)):
        yield


def written(entry):
    """A value as the words of a cell give it."""
    return str(list(entry)).replace(" ", "") if isinstance(entry, tuple) else str(entry)


def shown_by(choices):
    """The values that a cell really goes through, by their labels."""
    settings = dict(word.split("=", 1) for word in choices.split())
    labels = set()
    for axis, (default, *others) in all_values().items():
        held = [value for value in others if all(settings.get(key) == written(entry) for key, entry in value.settings)]
        labels.add((axis, max([default, *held], key=lambda value: (value in held, len(value.settings))).label))
    if settings.get("horizon") == "0":
        return {label for label in labels if label[0] in ("data", "space", "horizon")}
    strided = "sampler.steps" in settings or "evaluation.horizon" in settings
    return {label for label in labels if label[0] != "spacing" or strided}


def test_every_value_is_in_a_cell():
    values = {(axis, value.label) for axis, values in all_values().items() for value in values}
    assert set().union(*map(shown_by, CELLS)) == values


@pytest.mark.gpu
@pytest.mark.parametrize("choices", sampled(CELLS, 8, [f"choices{i}" for i in range(len(CELLS))], "slow"))
def test_every_stage_scores_on_the_device_what_it_does_on_the_cpu(choices, untaught, tmp_path):
    same = partial(pytest.approx, rel=2e-2, abs=2e-2, nan_ok=True)
    for stage in all_stages(cell_of(choices)):
        mine, theirs = (result_of(stage, tmp_path / device, device) for device in ("cpu", "cuda:0"))
        assert scores(theirs) == same(scores(mine)), stage
        assert theirs.curves.keys() == mine.curves.keys()
        for name in reproducible(mine.curves):
            assert theirs.curves[name][1] == same(mine.curves[name][1]), (stage, name)


def scores(result):
    """What a stage measured, but for what it cost and for the scale that nearly equal scores have chosen."""
    return {name: value for name, value in result.metrics.items() if not name.startswith("cost/") and name != SCALE}


@pytest.mark.gpu
def test_a_training_on_the_device_goes_on_from_its_rung(untaught, tmp_path):
    segment, training = [stage for stage in all_stages(cell_of(CELLS[0])) if stage.trains]
    result_of(segment, tmp_path / "cut", "cuda:0")
    cut, whole = (scores(result_of(training, tmp_path / name, "cuda:0")) for name in ("cut", "whole"))
    assert cut == pytest.approx(whole, rel=2e-2, abs=2e-2, nan_ok=True)


def test_what_is_remarked_of_a_training_is_noted():
    cold = Trained({}, [{"step": 1, "timesteps/warm": 0.256}])
    assert list(training.remarks_on(cell_of("timesteps=importance"), cold)) == [
        "importance sampler still warming up: 25 % of t have all losses of their history",
    ]
    plain = Trained({}, [{"step": 1}])
    assert list(training.remarks_on(cell_of(""), plain)) == []
    assert "its bound is of independent noise" in next(training.remarks_on(cell_of("coupling=immiscible"), plain))
