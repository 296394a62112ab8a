"""Every pair of values of two axes is refused with its reason, or trained, scored and sampled here."""

from __future__ import annotations

import csv
import itertools
import json
import math
import shutil

import pandas as pd
import pytest
from torch.nn.functional import adaptive_avg_pool2d

from ablations.data.shipped import Digits, Patches
from ablations.data.tensors import read_tensors
from ablations.driver import plan, run
from ablations.metrics.extractors import ARCHITECTURES
from ablations.metrics.extractors.architectures import Architecture
from ablations.settings import grammar
from ablations.stages import autoencoder
from analysis.reading import read_results
from tests.ablations.conftest import few_of
from tests.ablations.pairs import STEPS, Pairs, all_values, settings_of, value
from tests.stored import downloaded

TINY = {
    "training.steps": 3,
    "training.batch": 16,
    # So little that no network of three steps samples what is not finite, whatever σ² it has learned.
    "training.learning_rate": 1e-5,
    "training.warmup": 1,
    "training.report_every": 1,
    "evaluation.exact": 1,
    "evaluation.strata": 1,
    "evaluation.sets": 1,
    "evaluation.fit": 8,
    "evaluation.ode_steps": 2,
}
FEW = 24
"""Images of each split."""
LS = ("L0", "Lt", "LT")
TINY_NETWORK = {
    "unet": {"network.channels": 8, "network.multipliers": [1], "network.attention": []},
    "mlp": {"network.width": 16, "network.layers": 2},
    "dit": {"network.width": 8, "network.depth": 1, "network.heads": 2},
}
MOST = 95
"""Cells that hold every pair: what it takes to run them."""
FOUND = "# learned in a test\nname: saved\nknots: [-12.5, -7.25, -1.5, 4.5]\n"


@pytest.fixture(scope="module")
def pairs():
    """All values, a found schedule among them."""
    axes = all_values()
    axes["schedule"].append(value("schedule", {"schedule": "saved/kept"}))
    return Pairs(axes)


@pytest.fixture(scope="module")
def configs(tmp_path_factory):
    """A folder of the user's own where commands are run, with a found schedule."""
    folder = tmp_path_factory.mktemp("here") / "configs"
    (folder / "schedule" / "saved").mkdir(parents=True)
    (folder / "grid").mkdir()
    (folder / "schedule" / "saved" / "kept.yaml").write_text(FOUND)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder.parent)
        grammar.use(None)
        yield folder
    grammar.use(None)


@pytest.fixture(scope="module")
def rows(pairs, configs):
    return pairs.covering()


@pytest.mark.thorough
def test_every_pair_is_in_a_cell_or_refused(pairs, rows):
    seen = {frozenset(pair) for row in rows for pair in itertools.combinations(row.values(), 2)}
    for first, second in itertools.combinations(pairs.axes, 2):
        for a, b in itertools.product(pairs.axes[first], pairs.axes[second]):
            assert (frozenset((a, b)) in seen) != (frozenset((a, b)) in pairs.refused), (a.label, b.label)
    assert all(list(row) == list(pairs.axes) for row in rows)
    assert len(rows) <= MOST, "more cells than MOST: a new choice of an axis may raise it"


VQ = "space=latents space.regularization=vq"
LATENTS = ("space=latents", "space=latents space.f=4", VQ)
LEARNED, FIXED = ("learned", "learned_diagonal"), ("beta", "beta_tilde", "analytic", "analytic_mse")
NOISE = ("schedule=rectified", "schedule=cosine schedule.zero_terminal=True schedule.shift=3.0")
WEIGHTS = ("timesteps=logit_normal", "timesteps=log_normal")
BY_CLASS, ESTIMATE = "guidance.scale=2.0", "conditioning.self_conditioning=True"
BY_RUNG = "guidance.scale=2.0 guidance.by=rung evaluation.rungs=1"
BY_CELL = (
    "guidance.scale=auto guidance.scales=(1.0, 2.0) guidance.by=cell guidance.guide=('training.ema=0.9',) "
    "guidance.high=5.0"
)
PATCHES = "data=patches data.size=8 training.flips=True"
PAIRED = ("coupling=optimal", "coupling=immiscible")
# From the rules as they were decided, not from the code.
REFUSED = {
    *((f"variance={v}", f"objective={o}") for v in LEARNED for o in ("simple", "weighted", "min_snr", "p2", "edm")),
    *((f"variance={v}", "objective=vlb_continuous") for v in LEARNED),
    *((f"variance={v}", "objective=hybrid") for v in FIXED),
    ("variance=learned_diagonal", f"sampler=ancestral sampler.steps={STEPS}"),
    ("variance=learned_diagonal", f"evaluation.horizon={STEPS} evaluation.reference=train"),
    *((f"variance={v}", "time=continuous") for v in LEARNED),
    *((f"variance={v}", times) for v in LEARNED for times in WEIGHTS),
    *((f"objective={o}", times) for o in ("vlb", "hybrid", "vlb_continuous") for times in WEIGHTS),
    *((f"schedule={s}", times) for s in ("learned", "learned_linear") for times in WEIGHTS),
    *((f"variance={v}", noise) for v in (*LEARNED, "analytic") for noise in PAIRED),
    *((f"objective={o}", noise) for o in ("vlb", "hybrid", "vlb_continuous") for noise in PAIRED),
    *((f"schedule={s}", noise) for s in ("learned", "learned_linear") for noise in PAIRED),
    *((f"schedule={s}", f"conditioning=unconditional {ESTIMATE}") for s in ("learned", "learned_linear")),
    *((f"objective={o}", "time=continuous") for o in ("vlb", "hybrid")),
    *(
        (schedule, other)
        for schedule in NOISE
        for other in (
            "parameterization=epsilon",
            "time_input=log_snr",
            "evaluation.continuous=2",
            "evaluation.ode=1",
        )
    ),
    ("parameterization=mu", "sampler=heun sampler.churn=10 sampler.skip=0.2"),
    ("parameterization=mu", "time=continuous"),
    ("timesteps=importance", "time=continuous"),
    ("parameterization=mu", "objective=vlb_continuous"),
    ("parameterization=mu", "evaluation.continuous=2"),
    ("parameterization=mu", "evaluation.ode=1"),
    ("timesteps=importance", "objective=vlb_continuous"),
    ("timesteps=importance", "schedule=learned"),
    ("timesteps=importance", "schedule=learned_linear"),
    ("schedule=linear", "horizon=12"),
    *(("data=mixture2d", space) for space in LATENTS),
    *(("network=mlp", space) for space in LATENTS),
    *((VQ, score) for score in ("evaluation.continuous=2", "evaluation.ode=1", "evaluation.iwae=2", "horizon=0")),
    *(("horizon=0", other) for other in ("space=pixels", "data=mixture2d", "network=mlp")),
    *(("horizon=0", f"evaluation.{score}") for score in ("continuous=2", "ode=1")),
    *((BY_CLASS, told) for told in ("conditioning=unconditional", f"conditioning=unconditional {ESTIMATE}")),
    *((BY_RUNG, other) for other in ("average=raw", "average=power", "training.rate=wsd")),
    *((guided, f"schedule={s}") for guided in (BY_RUNG, BY_CELL) for s in ("learned", "learned_linear")),
    *((guided, "horizon=0") for guided in (BY_CLASS, BY_RUNG, BY_CELL)),
    *((PATCHES, other) for other in (*LATENTS, "network=mlp", "horizon=0", "conditioning=class", BY_CLASS)),
    ("data=digits", "network=mlp"),
    ("data=mixture2d", "network=unet"),
    ("data=mixture2d", "network=dit"),
}


def test_what_is_refused_is_what_has_no_meaning_and_the_reason_names_it(pairs, configs):
    assert {frozenset(one.label for one in pair) for pair in pairs.refused} == set(map(frozenset, REFUSED))
    for pair, reason in pairs.refused.items():
        assert "take" in reason
        settings = [setting for one in pair for setting in one.settings]
        named = [f"{key}={entry:g}" if isinstance(entry, float) else str(entry) for key, entry in settings]
        assert any(name in reason for name in named), reason


def test_the_triples_that_are_refused_are_a_learned_interior_that_the_bound_is_not_free_of(pairs, configs):
    learned = ("schedule=learned", "schedule=learned_linear")
    real = ("objective=vlb_continuous", "time=continuous")
    expected = {frozenset((schedule, times, "time_input=t")) for schedule in learned for times in real}
    assert {frozenset(one.label for one in triple) for triple in pairs.refused_triples} == expected
    assert all("take time_input=log_snr" in reason for reason in pairs.refused_triples.values())


def tiny_space(cell):
    """A small autoencoder, and steps enough to pay for it where the budget is counted in operations."""
    if cell["space"] == "pixels":
        return {}
    enough = 60 if cell["network"] == "dit" else 5
    steps = {"training.steps": enough} if cell["budget"] == "flops" else {}
    return {"space.steps": 2, "space.width": 8, "space.batch": 8, **steps}


@pytest.fixture
def few():
    with few_of(Digits(), Patches(8), count=FEW):
        yield


class Coarse(Architecture):
    """Features of images of any size, of three colours: the means of their quarters."""

    channels, sides, width, classes = (3,), (), 12, 2

    def forward(self, levels):
        feature = adaptive_avg_pool2d(levels.float(), 2).flatten(1)
        return feature, feature[:, :2] / 255


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("digits", marks=pytest.mark.thorough),
        pytest.param("patches", marks=pytest.mark.thorough),
        pytest.param("mixture2d", marks=pytest.mark.slow),
    ],
)
def test_every_pair_trains_scores_and_samples(
    data, rows, configs, few, tmp_path, store, capsys, monkeypatch, without_pictures
):
    monkeypatch.setitem(ARCHITECTURES, Patches.extractor, Coarse)
    monkeypatch.setattr(autoencoder, "collapse", lambda *_: "")
    # Chains of no steps, which differ in what they do not read.
    monkeypatch.setattr(plan, "_refuse_equal", lambda planned: None)
    shutil.copy(store, tmp_path / "mlflow.db")
    settings = [settings_of(row.values()) for row in rows]
    levels = [
        {"name": f"cell{i:02}", "set": {**TINY, **TINY_NETWORK.get(cell["network"], {}), **tiny_space(cell), **cell}}
        for i, cell in enumerate(settings)
        if cell["data"] == data
    ]
    # A grid judges all samples by sets of one size, against one reference.
    judged = [(level["set"].get("evaluation.n", 0), reference_of(level["set"])) for level in levels]
    for n, reference in sorted(set(judged)):
        alike = [level for level, how in zip(levels, judged, strict=True) if how == (n, reference)]
        run_and_look(f"pairs-{data}-{n}-{reference}", alike, configs, tmp_path, capsys)
    samples = [read_tensors(path)[0]["samples"] for path in (tmp_path / ".stages").glob("*/samples.safetensors")]
    # Cells that differ in nothing that sampling reads share theirs, as do chains of no steps.
    assert len(levels) / 3 < len(samples) <= len(levels)
    assert {len(drawn) for drawn in samples} == {n or (1000 if data == "mixture2d" else FEW) for n, _ in judged}
    assert all(bool(drawn.double().isfinite().all()) for drawn in samples)


def reference_of(cell):
    """What the samples of a cell are held against."""
    return cell.get("evaluation.reference", "test" if cell["data"] == "mixture2d" else "train")


def run_and_look(name, levels, configs, root, capsys):
    """Run a grid of these levels, and look whether every cell has what its choices ask for."""
    grid = {"question": "Does every pair run?", "axes": [{"name": "cell", "levels": levels}], "seeds": 1}
    (configs / "grid" / f"{name}.yaml").write_text(json.dumps(grid))
    assert run.main([f"grid={name}", f"results={root}", "launcher=serial"]) == 0, capsys.readouterr().out

    with (root / name / "runs.csv").open(encoding="utf-8", newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["axis.cell"] for row in found] == [level["name"] for level in levels]
    asked = {level["name"]: level["set"] for level in levels}
    for row in found:
        assert row["status"] == "finished", row["reason"]
        metrics = {name: float(text) for name, text in row.items() if "/" in name and text}
        assert all(math.isfinite(number) for number in metrics.values())
        cell = asked[row["axis.cell"]]
        chain, scored = cell["horizon"] > 0, cell.get("space.regularization") != "vq"
        assert row.get("not_comparable", "") == ("" if scored else "nll")
        assert bool(row.get("autoencoder_id", "")) == ("psnr/test" in metrics) == (cell["space"] == "latents")
        for split in ("val", "test"):
            assert (f"nll/{split}" in metrics) == scored
            parts = [metrics.get(f"nll/{split}_{part}", 0.0) for part in ("reconstruction", "entropy", *LS)]
            assert metrics.get(f"nll/{split}", 0.0) == pytest.approx(sum(parts), rel=1e-6, abs=1e-5)
            assert (f"nll/{split}_entropy" in metrics) == (scored and cell["space"] == "latents")
            assert (f"nll_ode/{split}" in metrics) == ("evaluation.ode" in cell)
            assert (f"nll_iwae/{split}" in metrics) == ("evaluation.iwae" in cell)
            assert (f"nll_continuous/{split}" in metrics) >= ("evaluation.continuous" in cell)
        strided = "sampler.steps" in cell or "evaluation.horizon" in cell
        fitted = cell["variance"].startswith("analytic") or (cell["spacing"] == "optimal" and strided)
        assert ("cost/fit_seconds" in metrics) == (chain and fitted)
        told = chain and scored and cell["conditioning"] == "class"
        assert ("nll_unlabelled/test" in metrics) == (told and not cell["variance"].startswith("analytic"))
        assert ("schedule/gamma_50" in metrics) == (chain and cell["schedule"].startswith("learned"))
        assert not row.get("notes", "").startswith("not finite")
        judged = [metric for metric in metrics if metric.startswith(("fid/", "energy_distance/"))]
        assert {metric.split("/")[1] for metric in judged} == {reference_of(cell)}
    folder = read_results(root / name)
    stored = read_results(downloaded(f"sqlite:///{root}/mlflow.db", name, root / "stored"))
    pd.testing.assert_frame_equal(folder.runs, stored.runs)
    pd.testing.assert_frame_equal(folder.curves, stored.curves)
