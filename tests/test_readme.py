"""What README.md and docs/ say of committed results is what their answers.json says: every number, every direction.

A sentence is made of the numbers anew and must stand there word by word; no digit of the findings may be left that no
sentence holds, neither on their page nor in what README takes from it.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from evidence.freshness import marks_of

ROOT = Path(__file__).parents[1]


def plain(page: str) -> str:
    """A page's text in one line, without the marks that `tests.test_freshness` asks for."""
    text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
    return re.sub(r"[,;] numerics (?:\d+|not recorded)", "", text)


README, PAGE = plain("README.md"), plain("docs/findings.md")
GPU, SEARCHING = plain("docs/gpu.md"), plain("docs/searching.md")
PLAIN, GUIDES = ("class", "1"), ("class", "interval", "rung", "cell")
"""The cell of `guidance` that is told labels and not guided, and the guides of such cells."""
NLL, FID, COPIED, LOOSE = "nll/test", "fid/train/digits-cnn", "memorisation/train", "looseness/test"


def committed(name: str, file: str) -> dict[str, Any]:
    return json.loads((ROOT / "results" / "committed" / name / file).read_text(encoding="utf-8"))


def grid_json(name: str) -> dict[str, Any]:
    """What grid.json says of a grid."""
    return committed(name, "grid.json")


@dataclass(frozen=True)
class Told:
    """What answers.json says of a grid; cells are named by their levels, in the order of the axes."""

    name: str

    @cached_property
    def answers(self) -> dict[str, Any]:
        return committed(self.name, "answers.json")

    @cached_property
    def cells(self) -> dict[tuple[str, ...], int]:
        return {tuple(cell["levels"].values()): i for i, cell in enumerate(self.answers["cells"])}

    def estimate(self, metric: str, *levels: str) -> dict[str, Any]:
        i = self.cells[levels]
        (found,) = (e for e in self.answers["estimates"] if (e["metric"], e["cell"]) == (metric, i))
        return found

    def mean(self, metric: str, *levels: str) -> float:
        return self.estimate(metric, *levels)["mean"]

    def measured(self, metric: str, *levels: str, decimals: int = 1) -> str:
        found = self.estimate(metric, *levels)
        return f"{found['mean']:.{decimals}f} ± {found['half_width']:.{decimals}f}"

    def pair(self, metric: str, a: tuple[str, ...], b: tuple[str, ...]) -> dict[str, Any]:
        of = {self.cells[a], self.cells[b]}
        (found,) = (c for c in self.answers["comparisons"] if c["metric"] == metric and {c["a"], c["b"]} == of)
        return found

    def headline(self, metric: str) -> dict[str, Any]:
        (found,) = (one for one in self.answers["headlines"] if one["metric"] == metric)
        return found

    def leaders(self, metric: str) -> set[tuple[str, ...]]:
        return {levels for levels, i in self.cells.items() if i in self.headline(metric)["leaders"]}

    def best(self, metric: str) -> tuple[str, ...]:
        return list(self.cells)[self.headline(metric)["best"]]

    def lowest(self, metric: str, level: str) -> tuple[str, ...]:
        """The cell of the lowest mean among those at this level of the first axis."""
        row = [levels for levels in self.cells if levels[0] == level]
        return min(row, key=lambda levels: self.mean(metric, *levels))

    def reference(self, metric: str, label: str) -> float:
        of_metric = (one for one in self.answers["references"] if one["metric"] == metric)
        return next(one["value"] for one in of_metric if one["label"].startswith(label))


def size(pair: dict[str, Any]) -> str:
    """The size of a difference as the pages write it: a factor, or bits/dim."""
    difference, half = abs(pair["difference"]), pair["half_width"]
    if pair["scale"] == "linear":
        return f"{difference:.2f} ± {half:.2f}"
    mean, low, high = (math.exp(difference + shift) for shift in (0, -half, half))
    return f"a factor of {mean:.2f} ({low:.2f} to {high:.2f})"


OTHERS = "five of the other ten cells"
"""The cells that may be the best of `parameterization-long` in FID as well, which its test counts."""


SHOWN = "Three seeds tell neither the first from the second nor the second from the third."


def fates(told: Told, start: str) -> list[str]:
    """What became of the claims that start so."""
    return [claim["fate"] for claim in told.answers["claims"] if claim["claim"].startswith(start)]


def parameterization() -> list[str]:
    told = Told("parameterization-long")
    assert told.best(FID) == ("epsilon", "simple")
    leaders = told.leaders(FID) - {("epsilon", "simple")}
    assert len(leaders) == 5
    assert len(told.cells) == 11
    for levels in leaders:
        assert told.pair(FID, levels, ("epsilon", "simple"))["verdict"] == "cannot tell"
    means = {levels: told.mean(FID, *levels) for levels in leaders}
    closest = min(leaders, key=lambda levels: means[levels])
    against_mu = [told.pair(FID, levels, ("epsilon", "simple")) for levels in told.cells if levels[0] == "mu"]
    assert [pair["verdict"] for pair in against_mu] == ["worse"] * 4
    factors = [math.exp(pair["difference"]) for pair in against_mu]
    for target in ("mu", "epsilon", "x0"):
        assert told.lowest(NLL, target) == (target, "vlb_learned")
    learned = told.pair(NLL, ("epsilon", "vlb_learned"), ("epsilon", "simple"))
    assert len(told.estimate(NLL, "epsilon", "vlb_learned")["seeds"]) == 3
    weighted = told.pair(NLL, ("x0", "weighted"), ("epsilon", "simple"))
    assert (learned["verdict"], weighted["verdict"]) == ("better", "worse")
    assert told.pair(FID, ("x0", "weighted"), ("epsilon", "simple"))["verdict"] == "cannot tell"
    histogram, x0, mu = told.reference(NLL, "histogram"), told.mean(NLL, "x0", "simple"), told.mean(NLL, "mu", "simple")
    assert x0 > max(histogram, mu)
    copied = [told.mean(COPIED, *levels) for levels in told.cells if told.mean(COPIED, *levels) is not None]
    best = told.mean(FID, "epsilon", "simple")
    head = grid_json(told.name)
    return [
        "DDPM's Table 2 on digits, T = 100, 0.15M parameters, 3 seeds, 4000 steps a cell",
        f"{head['command']} # {head['seconds'] / 60:.0f} minutes on 2 busy CPU cores",
        f"has the best mean FID ({best:.1f}), as in the paper. With three seeds, {OTHERS} cannot be told from it:",
        f"the closest is behind by {size(told.pair(FID, closest, ('epsilon', 'simple')))}.",
        f"μ̃ has a worse FID under every loss, by factors of {min(factors):.1f} to {max(factors):.1f}.",
        f"for ε {told.mean(NLL, 'epsilon', 'vlb_learned'):.2f} bits/dim, better than its unweighted MSE by "
        f"{size(learned)}.",
        "here, on small images at T = 100, all three seeds finish.",
        f"leaves {x0:.1f} bits/dim, worse than a histogram ({histogram:.1f}) and than μ̃'s MSE ({mu:.1f})",
        f"it comes to {told.mean(NLL, 'x0', 'weighted'):.2f}, still worse than ε by {size(weighted)}, and to an FID "
        f"that cannot be told from ε's ({told.mean(FID, 'x0', 'weighted'):.1f} beside {best:.1f}).",
        f"An FID below the floor ({told.reference(FID, 'held-out'):.1f})",
        f"The memorisation rate ({max(copied):.2f} at most; held-out images score "
        f"{told.reference(COPIED, 'held-out'):.2f})",
    ]


def published(grid: str, claim: str) -> list[float]:
    """The two values that the source of a shipped grid's claim has, of what is better first."""
    text = (ROOT / "ablations" / "configs" / "grid" / f"{grid}.yaml").read_text(encoding="utf-8")
    (found,) = (one for one in yaml.safe_load(text)["expects"] if one["claim"] == claim)
    return found["published"]


def steps() -> list[str]:
    told = Told("steps")
    ten = {variance: told.mean(FID, variance, "10") for variance in ("beta", "beta_tilde", "analytic")}
    bound = {variance: told.mean(NLL, variance, "10") for variance in ("beta", "beta_tilde")}
    assert ten["beta_tilde"] < ten["analytic"] < ten["beta"]
    for n in ("5", "10", "25", "50", "100", "200", "1000"):
        assert told.mean(NLL, "analytic", n) < min(told.mean(NLL, "beta", n), told.mean(NLL, "beta_tilde", n))
    all_of_them = ("beta_tilde", "1000"), ("beta", "1000")
    assert told.pair(FID, *all_of_them)["verdict"] in ("cannot tell", "equal")
    assert told.pair(NLL, *all_of_them)["verdict"] == "worse"
    return [
        "(T = 1000, 38 minutes on 2 busy cores.)",
        f"At 10 steps β̃ has a better mean FID than β ({ten['beta_tilde']:.0f} against {ten['beta']:.0f})",
        f"a far worse bound ({bound['beta_tilde']:.0f} bits/dim against {bound['beta']:.1f}).",
        "Analytic-DPM printed the same order for CIFAR-10 (FIDs of {} and {}, bounds of {} and {}).".format(
            *published("steps", "with 10 steps β̃ has a better FID than β"),
            *reversed(published("steps", "with 10 steps β has a better NLL than β̃")),
        ),
        f"with 10 steps no better FID than β̃ ({ten['analytic']:.0f})",
        "With all 1000, FID does not tell β from β̃, but the bound does, by "
        f"{size(told.pair(NLL, *all_of_them))}, where the paper has 3.75 for β and 3.73 for β̃.",
    ]


def skip() -> list[str]:
    told = Told("skip")
    linear, cosine = (
        [told.mean(FID, schedule, share) for share in ("0.0", "0.2", "0.3", "0.4")] for schedule in ("linear", "cosine")
    )
    out = set(told.cells) - told.leaders(FID)
    assert out == {("cosine", "0.3"), ("cosine", "0.4")}
    return [
        "(T = 250, 9 minutes.)",
        f"The linear schedule's mean FID rises from {linear[0]:.1f} to {linear[1]:.1f} at 20 %, {linear[2]:.1f} at "
        f"30 % and {linear[3]:.1f} at 40 %; the cosine schedule's from {cosine[0]:.1f} to {cosine[1]:.1f}, "
        f"{cosine[2]:.1f} and {cosine[3]:.1f}, and at 30 % and 40 % it is no longer among those",
    ]


def spacing() -> list[str]:
    told = Told("spacing")
    nll, fid = (
        {name: told.mean(metric, name, "10") for name in ("uniform", "quadratic", "optimal")} for metric in (NLL, FID)
    )
    seeds = [told.estimate(NLL, name, "10")["seeds"] for name in ("uniform", "optimal")]
    saved = [seeds[0][seed] - seeds[1][seed] for seed in seeds[0]]
    assert ("uniform", "10") in told.leaders(NLL), "the test cannot rule out that it is chance"
    assert 2.7 < max(saved) / min(saved) < 3, "nearly three times as much"
    return [
        "(T = 1000, learned σ².)",
        "When 10 of the 1000 times can be visited",
        f"the mean bound is {nll['uniform']:.1f} bits/dim at even ones, {nll['quadratic']:.2f} at quadratic ones and "
        f"{nll['optimal']:.2f} at those that minimise it",
        f"{nll['uniform'] - nll['optimal']:.1f} bits/dim saved ({min(saved):.1f} to {max(saved):.1f} by seed)",
        f"With 5 it is {told.mean(NLL, 'uniform', '5'):.0f} against {told.mean(NLL, 'optimal', '5'):.2f}.",
        f"FID follows less ({fid['uniform']:.0f}, {fid['quadratic']:.0f} and {fid['optimal']:.0f} with 10 steps)",
        *(f"({mark})" for name in ("edm", "zero_terminal") for mark in marks_of(name) if "steps" in mark),
    ]


def average() -> list[str]:
    told = Told("average")
    raw, long = (
        {target: told.pair(FID, (average, target), ("0.1", target)) for target in ("epsilon", "mu", "x0")}
        for average in ("raw", "0.25")
    )
    assert {pair["verdict"] for pair in (*raw.values(), *long.values())} == {"worse"}
    assert fates(told, "an average") == ["as published"] * 4
    tracked = [told.pair(NLL, ("tracked", target), ("0.1", target))["verdict"] for target in long]
    assert tracked == ["equal"] * 3
    best = {row["levels"]["parameterization"]: row["best"] for row in told.answers["rows"] if row["metric"] == NLL}
    assert [list(told.cells)[best[target]][0] for target in ("mu", "x0", "epsilon")] == ["0.03", "0.05", "tracked"]
    theirs = published("average", "an average of width 0.10 has a better FID than the last weights, for ε")
    factors = {target: size(pair).removeprefix("a factor of ") for target, pair in long.items()}
    return [
        f"(T = 100, 5 seeds, {grid_json(told.name)['seconds'] / 60:.0f} minutes, one training per target and seed.)",
        "with a width of 0.10 (a standard deviation of a tenth of the training) the FID of ε is better than that of "
        f"the last weights by {size(raw['epsilon'])}, as users found on CIFAR-10 ({theirs[0]} against {theirs[1]}).",
        f"0.25 is worse than 0.10 by factors of {factors['epsilon']} for ε, {factors['mu']} for μ̃ and {factors['x0']} "
        "for x₀.",
        "has the NLL of 0.10, for practical purposes. The best mean NLL has 0.03 for μ̃, 0.05 for x₀,",
    ]


def flow() -> list[str]:
    told = Told("flow")
    few, many = (told.pair(FID, ("rf", n), ("eps_linear", n)) for n in ("5", "50"))
    bound = told.pair(NLL, ("rf", "50"), ("eps_linear", "50"))
    times, later = (told.pair(FID, ("rf_logit", n), ("rf", n)) for n in ("5", "50"))
    assert [pair["verdict"] for pair in (few, many, bound, times)] == ["better", "better", "worse", "better"]
    assert later["verdict"] == "cannot tell"
    assert fates(told, "with uniform times the straight path has a worse FID") == ["contrary to the paper"]
    assert told.best(NLL)[0] == "v_cosine"
    for row in (row for row in told.answers["rows"] if row["metric"] == FID):
        assert told.cells["v_cosine", row["levels"]["sampler.steps"]] in row["leaders"]
    return [
        f"(T = 1000, 5 seeds, {grid_json(told.name)['seconds'] / 60:.0f} minutes.)",
        f"with 5 even steps of Euler's method its FID is better by {size(few)}, with 50 by {size(many)}.",
        f"Its bound is worse by {size(bound)} bits/dim.",
        f"Logit-normal times help with 5 steps, by {size(times)}; with 50 five seeds do not show it.",
        f"v with the cosine schedule, {told.mean(NLL, 'v_cosine', '50'):.2f} bits/dim",
    ]


def coupling() -> list[str]:
    told = Told("coupling")
    optimal = {n: told.pair(FID, ("straight", "optimal", n), ("straight", "independent", n)) for n in ("2", "5", "50")}
    assert [pair["verdict"] for pair in optimal.values()] == ["better", "better", "cannot tell"]
    nearest = told.pair(FID, ("straight", "immiscible", "2"), ("straight", "independent", "2"))
    linear = told.pair(FID, ("linear", "immiscible", "50"), ("linear", "independent", "50"))
    bound = told.pair(NLL, ("straight", "optimal", "2"), ("straight", "independent", "2"))
    assert [pair["verdict"] for pair in (nearest, linear, bound)] == ["better", "worse", "worse"]
    assert fates(told, "on the straight path, with 5 steps") == ["as published"]
    assert fates(told, "with ε and the linear schedule, the nearest") == ["contrary to the paper"]
    paired, alone = (told.mean(FID, "straight", noise, "2") for noise in ("optimal", "independent"))
    return [
        f"(T = 1000, 5 seeds, {grid_json(told.name)['seconds'] / 60:.0f} minutes.) On the straight path few",
        f"the FID of 2 Euler steps is {paired:.0f} in place of {alone:.0f}, better by {size(optimal['2'])}, that of 5 "
        f"by {size(optimal['5'])}, as published.",
        "With 50 five seeds tell no difference.",
        f"The nearest of 4 draws helps less with 2 steps, by {size(nearest)}.",
        f"For ε with the linear schedule and 50 steps it is worse than one draw, by {size(linear)}, contrary to the "
        "paper.",
        f"it is worse by {size(bound)} bits/dim with optimal pairs.",
    ]


def guidance() -> list[str]:
    told = Told("guidance")
    labels, strong = (told.pair(FID, *pair) for pair in ((("none", "1"), PLAIN), (("class", "3"), PLAIN)))
    assert (labels["verdict"], strong["verdict"], labels["exploratory"]) == ("worse", "worse", True)
    claims = ("guidance by the model without its label", "and recall falls", "in an interval the same scale")
    assert [fates(told, claim) for claim in claims] == [["as published"]] * 3
    precision, recall = (
        {guide: told.mean(f"{metric}/train/digits-cnn", *guide) for guide in (PLAIN, ("class", "3"), ("cell", "3"))}
        for metric in ("precision", "recall")
    )
    narrow = told.mean("recall/train/digits-cnn", "interval", "3")
    assert recall["cell", "3"] == max(told.mean("recall/train/digits-cnn", g, "3") for g in GUIDES)
    runs = pd.read_csv(ROOT / "results" / "committed" / told.name / "runs.csv")
    tuned = runs[(runs["axis.guidance.scale"] == "auto") & runs["axis.guide"].isin(GUIDES)]
    scales = tuned["guidance/scale"].tolist()
    unlabelled, never = told.mean("nll_unlabelled/test", *PLAIN), told.mean(NLL, "none", "1")
    return [
        f"(T = 1000, {len(told.answers['seeds'])} seeds; exploratory, since its scales were chosen",
        f"with them the FID is better by {size(labels)}.",
        f"with w = 3 precision rises from {precision[PLAIN]:.2f} to {precision['class', '3']:.2f}, recall falls from "
        f"{recall[PLAIN]:.2f} to {recall['class', '3']:.2f}, and the FID is worse by {size(strong)}.",
        f"its recall with w = 3 is {recall['cell', '3']:.2f}, an interval of noise levels {narrow:.2f}.",
        f"w = 1 is chosen in {scales.count(1.0)} of {len(scales)} cases with labels",
        f"the unguided FID, {told.mean(FID, *PLAIN):.1f}, is below that of held-out images already, "
        f"{told.reference(FID, 'held-out'):.1f},",
        f"With no label the same network has {unlabelled:.2f} bits/dim, an unconditional one {never:.2f}.",
    ]


def network() -> list[str]:
    told = Told("network")
    unet, dit, larger = (whole(name) for name in ("unet", "dit", "dit4"))
    bound, fid = (told.pair(metric, dit, unet) for metric in (NLL, FID))
    patches = {metric: told.pair(metric, larger, dit) for metric in (NLL, FID)}
    assert [pair["verdict"] for pair in (bound, fid, patches[NLL], patches[FID])] == ["worse"] * 3 + ["better"]
    assert not bound["exploratory"]
    own = [told.pair(m, (name, "own", "1000"), whole(name)) for name in ("unet", "dit") for m in (NLL, FID)]
    assert [pair["verdict"] for pair in own] == ["cannot tell"] * 4
    assert fates(told, "a transformer has a better FID") == ["contrary to the paper"]
    return [
        f"(T = 100, {len(told.answers['seeds'])} seeds.) On 8×8 digits a U-Net",
        f"after 1000 steps it is better by {size(bound)} bits/dim, and its FID is {told.mean(FID, *unet):.0f} in place "
        f"of {told.mean(FID, *dit):.0f}, contrary to DiT's paper",
        f"the larger has the better FID, by {size(patches[FID])}, and the worse bound, by {size(patches[NLL])};",
    ]


def whole(name: str) -> tuple[str, str, str]:
    """The cell of a network without self-conditioning after all steps."""
    return name, "none", "1000"


def looseness() -> list[str]:
    told = Told("looseness")
    loose = {(v, n): told.mean(LOOSE, v, n) for v, n in told.cells}
    nll = {(v, n): told.mean(NLL, v, n) for v, n in told.cells}
    assert {claim["fate"] for claim in told.answers["claims"]} == {"as published"}
    assert told.pair(NLL, ("analytic", "2"), ("beta", "2"))["verdict"] == "worse"
    assert told.pair(NLL, ("analytic", "16"), ("beta", "16"))["verdict"] == "better"
    return [
        f"(T = 1000, 5 seeds, {grid_json(told.name)['seconds'] / 60:.0f} minutes.) By 8 draws the bound of a VAE is",
        f"loose by {loose['beta', 'vae']:.3f} bits/dim of {nll['beta', 'vae']:.2f} at least, that of a chain of 16 "
        f"steps by {loose['beta', '16']:.2f} of {nll['beta', '16']:.2f} with β and {loose['analytic', '16']:.2f} of "
        f"{nll['analytic', '16']:.2f} with the analytic variance.",
        f"Of β̃'s {nll['beta_tilde', '16']:.0f} bits/dim with 16 steps at least {loose['beta_tilde', '16']:.0f} are it.",
        "With 2 steps the analytic variance has a worse bound than β",
    ]


def samplers() -> list[str]:
    told = Told("samplers")
    ten = [f"{told.mean(FID, sampler, '10'):.0f}" for sampler in ("dpm_solver", "ddim", "ancestral")]
    four = {(sampler, n) for sampler in ("dpm_solver", "ddim", "ancestral", "heun") for n in ("25", "50", "100")}
    assert four <= told.leaders(FID)
    assert told.best(FID) == ("dpm_sde", "50")
    assert fates(told, "with 10 steps D") == ["cannot tell", "cannot tell"]
    return [
        "(T = 1000, the same three trainings.)",
        f"With 10 steps DPM-Solver++ has a mean FID of {ten[0]}, DDIM of {ten[1]} and the ancestral chain of {ten[2]}",
        f"has {told.mean(FID, 'heun', '5'):.0f} after 5 steps.",
        SHOWN,
        "From 25 steps on all of these four may be the best, beside the grid's best mean "
        f"({told.mean(FID, 'dpm_sde', '50'):.1f}, by the SDE form of DPM-Solver++ in 50 steps).",
    ]


def latent() -> list[str]:
    told = Told("latent")
    long = {space: (space, "flops", "2000") for space in ("pixels", "f1", "f2", "f4")}
    short = {space: (space, "flops", "500") for space in ("pixels", "f2", "f4")}
    for metric in (NLL, FID):
        for space in ("f1", "f2", "f4"):
            assert told.pair(metric, long[space], long["pixels"])["verdict"] == "cannot tell"
    equal = told.pair(FID, ("f4", "steps", "2000"), long["pixels"])
    (claim,) = (one for one in told.answers["claims"] if "f = 4 have a better FID than pixels" in one["claim"])
    assert (claim["fate"], equal["verdict"], equal["exploratory"]) == ("contrary to the paper", "worse", True)
    vae = ("f4", "vae", "2000")
    assert min(told.cells, key=lambda levels: told.mean(NLL, *levels)) == vae
    for cost, times in (("cost/total_flops", 4), ("cost/sample_flops", 14)):
        assert round(told.mean(cost, *long["pixels"]) / told.mean(cost, "f4", "steps", "2000")) == times
    gains = [told.mean(NLL, space, "none", "2000") - told.mean(NLL, *long[space]) for space in ("f1", "f2", "f4")]
    copied = {space: 100 * told.mean(COPIED, *long[space]) for space in ("pixels", "f2", "f4")}

    def both(space: str) -> str:
        return f"{told.measured(FID, *long[space])} and {told.mean(NLL, *long[space]):.2f}"

    def means(space: str) -> str:
        return f"{told.mean(FID, *short[space]):.1f} and {told.mean(NLL, *short[space]):.2f}"

    return [
        "(T = 100, σ² fitted in every cell, 24 minutes.)",
        "At the operations of 2000 steps in pixels, the autoencoder's included,",
        "three seeds tell no space from pixels on 8×8 images",
        f"an FID of {both('pixels')} bits/dim in pixels, {both('f2')} at f = 2, {both('f4')} at f = 4.",
        f"At those of 500 steps the means are {means('pixels')} in pixels, {means('f2')} at f = 2, {means('f4')} at "
        "f = 4.",
        f"At the larger budget {copied['f2']:.0f} % (f = 2) and {copied['f4']:.0f} % (f = 4) of the samples lie nearer "
        f"to a training image than all but 5 % of held-out images do, {copied['pixels']:.0f} % in pixels: at f = 4 "
        "twice as many as of real images, at f = 2 hardly more.",
        f"f = 4 has a worse FID than pixels, {told.mean(FID, 'f4', 'steps', '2000'):.1f}, by {size(equal)}, where LDM "
        "has a better one (256×256), for a quarter of the operations, and a fourteenth of them per sample.",
        "at 2×2 places the same number takes three times as long",
        f"a plain VAE, {told.mean(NLL, *vae):.2f} bits/dim at f = 4, and its samples are poor (FID "
        f"{told.mean(FID, *vae):.0f}).",
        f"a better prior of the same codes than N(0, I): by {gains[0]:.2f} bits/dim at f = 1, {gains[1]:.2f} at f = 2, "
        f"and hardly at f = 4 ({gains[2]:.2f}).",
    ]


def latent_regularization() -> list[str]:
    told = Told("latent_regularization")
    (one,) = told.leaders(NLL)
    others = [cell for cell in told.cells if cell != one]
    assert max(told.cells, key=lambda cell: told.mean(FID, *cell)) == one
    assert {told.pair(FID, a, b)["verdict"] for a in others for b in others if a < b} == {"cannot tell"}
    fids = [told.mean(FID, *cell) for cell in others]
    return [
        "(f = 2, 4 minutes.)",
        f"KL × 1 has the best bound ({told.mean(NLL, *one):.2f} bits/dim) and the worst mean FID "
        f"({told.mean(FID, *one):.0f});",
        "of weights of 0.1 and less",
        f"tell none from another in FID (means of {min(fids):.1f} to {max(fids):.1f}).",
    ]


def smaller() -> list[str]:
    told = Told("edm")
    (claim,) = (one for one in told.answers["claims"] if one["claim"].startswith("with F, λ(σ) and log-normal σ"))
    assert claim["fate"] == "cannot tell"
    better, than = published("edm", claim["claim"])
    return [
        f"better by {size({**claim, 'scale': 'log'})}, where EDM has {than} against {better}, but three seeds do not "
        "show it.",
    ]


def budget() -> list[str]:
    told = Told("budget")
    head = grid_json(told.name)
    words = "parameterization=epsilon training=long evaluation.rungs=3 evaluation.judged_rungs=3"
    assert set(words.split()) | {"seeds=5"} < set(head["command"].split())
    mse, learned, fixed = (told.cells["epsilon", loss] for loss in ("simple", "vlb_learned", "vlb_fixed"))
    fids, nlls = ([one for one in told.answers["rungs"] if one["metric"] == metric] for metric in (FID, NLL))
    steps = [one["steps"][0] for one in fids]
    assert steps == [one["steps"][0] for one in nlls] == [500, 1000, 2000, 4000]
    assert [one["leaders"] for one in fids] == [[mse]] * 4
    assert [one["leaders"] for one in nlls] == [[learned]] * 4
    assert learned in told.headline(FID)["rivals"]
    assert told.headline(NLL)["rivals"] == []
    course = next(c for c in told.answers["courses"] if c["metric"] == NLL and {c["a"], c["b"]} == {mse, learned})
    assert course["settled"]
    behind = [one["means"][learned] / one["means"][mse] for one in fids]
    gaps = [one["means"][fixed] - one["means"][mse] for one in nlls]
    assert told.pair(NLL, ("epsilon", "vlb_fixed"), ("epsilon", "simple"))["verdict"] == "cannot tell"
    assert abs(gaps[-1]) < 0.01
    end = size(told.pair(FID, ("epsilon", "vlb_learned"), ("epsilon", "simple"))).removeprefix("a factor of ")
    return [
        "scored at 500, 1000, 2000 and 4000 steps",
        f"`{words}`, {head['seconds'] / 60:.0f} minutes)",
        f"behind by a factor of {behind[0]:.2f} at 500 steps and by {end} at 4000, "
        "and if that went on it might lead at 8000;",
        f"behind the MSE by {gaps[0]:.2f} bits/dim at 500 steps",
    ]


def looks() -> list[str]:
    told = Told("parameterization")
    head = grid_json(told.name)
    assert head["command"].endswith("grid=parameterization training.steps=500 evaluation.rungs=2 seeds=auto")
    of_metric = {m: [one for one in told.answers["comparisons"] if one["metric"] == m] for m in (NLL, FID)}
    assert len(head["primary"]) == 4
    assert [sorted(one["settled_at"] for one in found) for found in of_metric.values()] == [[3, 3, 3, 5], [5, 5, 5, 8]]
    (last,) = [one for one in of_metric[FID] if one["settled_at"] == 8]
    assert [last["a"], last["b"]] == [told.cells["x0", "simple"], told.cells["epsilon", "simple"]]
    bound, code = told.mean(NLL, "x0", "simple"), told.reference(NLL, "uniform code")
    assert bound > 2 * code
    trainings, minutes = spent_by_looks()
    assert decided_by_five(told) == {NLL: 4, FID: 4}
    return [
        f"`{head['command'].removeprefix('python -m ablations.run ')}` ({minutes:.0f} minutes on 2 busy CPU cores",
        "The grid declares four comparisons. In NLL all are settled by 5 seeds; in FID three are by 5 seeds, and the "
        "last by 8.",
        f"That last one is x₀ with its unweighted MSE. In FID it is behind ε by {size(last)}, which is little.",
        f"its bound is {bound:.2f} bits/dim, and a uniform code, which knows nothing of the data, needs {code:.2f}.",
        f"took {trainings} trainings; 5 seeds of every cell would have been {5 * len(head['cells'])}, and by the rule "
        "for fixed seeds they decide all four in both metrics.",
    ]


def spent_by_looks() -> tuple[int, float]:
    """The trainings of the grid at seeds=auto, and minutes."""
    head = grid_json("parameterization")
    return sum(head["auto"]["stopped"].values()), head["seconds"] / 60


def decided_by_five(told: Told) -> dict[str, int]:
    """The comparisons of each metric that are told apart at 5 seeds, by Holm's even shares of what the declared ones
    have for differences: three quarters of 80 % of 5 %. Images are left out: differences are far beyond their errors.
    """
    runs = pd.read_csv(ROOT / "results" / "committed" / told.name / "runs.csv")
    decided = {}
    for metric, scale in ((NLL, np.array), (FID, np.log)):
        values = runs.pivot_table(index="cell_id", columns="seed", values=metric)[list(range(5))]
        ends = [
            [values.loc[told.answers["cells"][one[end]]["cell_id"]] for end in ("a", "b")]
            for one in told.answers["comparisons"]
            if one["metric"] == metric
        ]
        p = sorted(stats.ttest_rel(*map(scale, pair)).pvalue for pair in ends)
        decided[metric] = sum(one * (len(p) - i) <= 0.75 * 0.8 * 0.05 for i, one in enumerate(p))
    return decided


FINDINGS = (
    parameterization,
    average,
    flow,
    coupling,
    guidance,
    network,
    looseness,
    looks,
    budget,
    steps,
    skip,
    spacing,
    samplers,
    latent,
    latent_regularization,
    smaller,
)
SECTION = "## What it found so far"


def taken() -> list[str]:
    """What README takes from the findings."""
    long, few, sampled, latents = (Told(name) for name in ("parameterization-long", "steps", "samplers", "latent"))
    assert long.best(FID) == ("epsilon", "simple")
    for target in ("mu", "epsilon", "x0"):
        assert long.lowest(NLL, target) == (target, "vlb_learned")
    ten = [f"{sampled.mean(FID, sampler, '10'):.0f}" for sampler in ("dpm_solver", "ddim", "ancestral")]
    fids, nlls = (
        {variance: few.mean(metric, variance, "10") for variance in ("beta", "beta_tilde")} for metric in (FID, NLL)
    )
    worse = latents.pair(FID, ("f4", "steps", "2000"), ("pixels", "flops", "2000"))
    (claim,) = (one for one in latents.answers["claims"] if "f = 4 have a better FID than pixels" in one["claim"])
    assert (claim["fate"], worse["verdict"], worse["exploratory"]) == ("contrary to the paper", "worse", True)
    return [
        "On 8×8 digits, with small networks and mostly three seeds;",
        "(4000 steps a cell, pictured here). ε with the unweighted MSE has the best mean FID, "
        f"{long.mean(FID, 'epsilon', 'simple'):.1f}, as in DDPM's paper, but {OTHERS} cannot be told from it.",
        f"has the best mean NLL, {long.mean(NLL, 'epsilon', 'vlb_learned'):.2f} bits/dim for ε.",
        f"With 10 of 1000 steps DPM-Solver++ has a mean FID of {ten[0]}, DDIM of {ten[1]} and the ancestral chain of "
        f"{ten[2]}. {SHOWN}",
        f"With 10 steps β̃ has a better mean FID than β ({fids['beta_tilde']:.0f} against {fids['beta']:.0f}) and a far "
        f"worse bound ({nlls['beta_tilde']:.0f} bits/dim against {nlls['beta']:.1f}).",
        f"After equally many steps latents at f = 4 have a worse FID than pixels, by {size(worse)}, where LDM has a "
        "better one, for a quarter of the operations.",
    ]


@cache
def sentences() -> tuple[str, ...]:
    return tuple(sentence for finding in FINDINGS for sentence in finding())


@pytest.mark.parametrize("finding", FINDINGS, ids=[finding.__name__ for finding in FINDINGS])
def test_what_is_said_of_a_grid_is_what_its_answers_say(finding):
    for sentence in finding():
        assert sentence in PAGE


def test_what_readme_takes_from_the_findings_is_what_answers_say():
    for sentence in taken():
        assert sentence in README


@pytest.mark.parametrize(
    ("text", "held"),
    [
        pytest.param(PAGE, sentences, id="docs/findings.md"),
        pytest.param(README[README.index(SECTION) :].split(" ## ")[0], taken, id="README.md"),
    ],
)
def test_no_number_of_the_findings_stands_by_itself(text, held):
    for sentence in sorted(held(), key=len, reverse=True):
        text = text.replace(sentence, "")
    text = re.sub(r"\]\([^)]*\)|!\[[^\]]*\]", "", text)
    assert not re.findall(r"[^.]{0,60}\d[^.]{0,20}", text.replace("N(0, I)", ""))


def test_how_many_trainings_looks_save():
    saved = f"with `seeds=auto`, {looks()[-1].partition(', and by')[0]}"
    assert f"The question of the first command, at 500 steps and {saved} and decide as much" in README
    rows = re.findall(r"\| (\d+) \| 12 \| \d+% \| \d+ \| [\d.]+ \| ([\d.]+) \|", plain("evidence/looks.md"))
    beside = {m: [round(100 * (float(share) - 1)) for of, share in rows if of == m] for m in ("3", "23")}
    least, most = -max(beside["23"]), -min(beside["23"])
    assert f"simulated grids of 24 cells take {least} to {most} % fewer trainings" in README
    assert f"grids of 4 cells between {-min(beside['3'])} % fewer and {max(beside['3'])} % more" in README


def times_ours(size: str, row: str) -> str:
    """What the first table of a committed comparison says in the column × ours."""
    lines = (ROOT / "benchmarks" / f"peers-{size}.md").read_text(encoding="utf-8").splitlines()
    found = next(line for line in lines if line.startswith(f"| {row} |"))
    return f"{float(found.split('|')[6]):.1f}"


def test_speed_and_precision():
    plain, same = "diffusers, its defaults, float32", "diffusers, our structure, bf16"
    assert f"UNet2DModel at its defaults {times_ours('medium', plain)} × as long" in GPU
    assert f"in our structure and bf16 {times_ours('medium', same)} ×" in GPU
    assert f"at 8×8 {times_ours('tiny', plain)} × and {times_ours('tiny', same)} ×" in GPU


def of_precision(metric: str) -> str:
    """What docs/gpu.md says of bf16 beside float32 in a metric, from the six comparisons that the grid declares."""
    told = Told("precision")
    found = [one for one in told.answers["comparisons"] if one["metric"] == metric and one["primary"]]
    label = {i: levels[0] for levels, i in told.cells.items()}
    assert len({label[one["a"]] for one in found}) == len(found) == 6
    assert all(label[one["a"]] == label[one["b"]] for one in found)
    verdicts = [one["verdict"] for one in found]
    equal, untold = verdicts.count("equal"), verdicts.count("cannot tell")
    largest = max(found, key=lambda one: abs(one["difference"]))
    names = {level["name"]: level["label"] for level in told.answers["axes"][0]["levels"]}
    unit = f"{size(largest)} bits/dim" if metric == NLL else size(largest)
    counts = (
        f"{equal} of six are equal for practical purposes, {untold} cannot be told, and {6 - equal - untold} differ"
    )
    return f"{counts}; the largest difference is {unit} ({names[label[largest['a']]]})"


def test_what_bf16_changes():
    assert f"In NLL {of_precision(NLL)}." in GPU
    assert f"In FID {of_precision(FID)}." in GPU


def test_what_the_kernel_changes():
    page = (ROOT / "evidence" / "same.md").read_text(encoding="utf-8")
    nll, fid = (re.search(rf"\| {head} \| \+([\d.]+) ± ([\d.]+) \|", page) for head in (r"NLL \(bits/dim\)", "FID"))
    sizes = [f"{float(one):.{decimals}f}" for found, decimals in ((nll, 3), (fid, 1)) for one in found.groups()]
    assert "The kernel changes them by {} ± {} and {} ± {}".format(*sizes) in GPU


def test_what_the_search_found():
    told = Told("search-schedule")
    order = sorted(told.cells, key=lambda levels: levels != told.best(NLL))
    nlls, fids = (
        [told.measured(metric, *levels, decimals=n) for levels in order] for metric, n in ((NLL, 2), (FID, 1))
    )
    said = f"has {nlls[0]} bits/dim against {nlls[1]}, and an FID of {fids[0]} against {fids[1]}: better in both"
    assert said in SEARCHING
    assert [len(told.leaders(metric)) for metric in (NLL, FID)] == [1, 1]
    head = grid_json(told.name)
    trials = head["search"]
    minutes = (trials["seconds"] + head["seconds"]) / 60
    assert f"on digits: {minutes:.0f} minutes on 2 busy CPU cores" in SEARCHING
    saved = 100 - 100 * trials["trained_steps"] / trials["full_steps"]
    assert f"{saved:.0f} % of the training steps saved" in SEARCHING
