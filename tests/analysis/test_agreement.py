"""No two places of a page contradict each other: pages of random grids, with claims, primaries, gaps and rungs.

Each statement of answers.json is put as one about a contrast of cells, Σ c · cell: on which side of 0 it is, that it is
within a limit or beyond one, or that nothing is shown. What two places say of one contrast must agree.
"""

import dataclasses
import itertools
import json
import math
from collections import defaultdict

import numpy as np
import pandas as pd
import pytest

from analysis.exports import answers_json
from analysis.findings.answers import Answers
from analysis.grid_json import parse_meta
from analysis.read.runs import GridResults
from analysis.report.budget import budget_sentence
from tests.analysis.conftest import FID, NLL, axis_of, meta, run_of

LEVELS = {"schedule": ("linear", "cosine", "sigmoid"), "steps": ("10", "100")}
TURNED = {"better": "worse", "worse": "better"}


def random_grid(seed):
    """A grid of a few cells at a few seeds, some of which differ, are the same, or did not finish."""
    random = np.random.default_rng(seed)
    levels = {"schedule": LEVELS["schedule"][: random.integers(2, 4)], "steps": LEVELS["steps"]}
    cells = [dict(zip(levels, of, strict=True)) for of in itertools.product(*levels.values())]
    if random.random() < 0.2:
        cells.pop()
    seeds = range(int(random.integers(2, 6)))
    far, noise = random.choice([0.0, 0.02, 0.06, 0.15], len(cells)), random.choice([0.01, 0.03], len(cells))
    own = [far[i] + noise[i] * random.standard_normal(len(seeds)) for i in range(len(cells))]
    if random.random() < 0.3:
        own[1] = own[0]
    lost = {(0, 0)} if random.random() < 0.2 else set()
    rows = []
    for i, (cell, s) in enumerate(itertools.product(cells, seeds)):
        place = i // len(seeds)
        row = run_of("-".join(cell.values()), s, finished=(place, s) not in lost)
        values = {FID: 20 * math.exp(own[place][s]), NLL: 2 + own[place][s], "nll/val": 2 + own[place][s]}
        rows.append(row | {f"axis.{name}": level for name, level in cell.items()} | values | {"training.steps": "400"})
    primary = [{"compare": {"schedule": "cosine", "steps": steps}, "to": {"steps": steps}} for steps in levels["steps"]]
    described = meta(
        axes=[axis_of(name, name.title(), of) for name, of in levels.items()],
        baseline={"schedule": "linear", "steps": "10"},
        layout="general",
        seeds=list(seeds),
        floors={},
        rungs=1,
        primary=primary if random.random() < 0.5 else [],
        cells={"-".join(cell.values()): cell for cell in cells},
        expects=[_claim(random, levels) for _ in range(random.integers(0, 9))],
    )
    made = GridResults(parse_meta(json.dumps(described), "here"), pd.DataFrame(rows), None, pd.DataFrame)
    curves = [
        (row["cell_id"], row["seed"], "rung/nll/val", 200.0, row["nll/val"] + 0.1 + 0.05 * random.standard_normal())
        for row in rows
    ]
    lines = pd.DataFrame(curves, columns=["cell_id", "seed", "curve", "x", "y"])
    return dataclasses.replace(made, load_curves=lambda: lines)


def _claim(random, levels):
    """A claim about two cells, averages, a change, or about equality."""
    first, second = random.choice(levels["schedule"], 2, replace=False).tolist()
    at = {"steps": str(random.choice(levels["steps"]))} if random.random() < 0.6 else {}
    if random.random() < 0.3:
        better, than, since = {"steps": "10"}, {"steps": "100"}, {}
    else:
        better, than = {"schedule": first} | at, {"schedule": second}
        since = {"steps": "100"} if at.get("steps") == "10" and random.random() < 0.3 else {}
    kind = {"metric": str(random.choice(["nll", "fid"])), "within": random.choice([None, None, 0.02, 0.1, 0.5])}
    return {"claim": "so it is", "source": "A paper", "better": better, "than": than, "since": since} | kind


class Page:
    """What answers.json says, contrast by contrast: (metric, contrast) → [(place, statement, p)]."""

    def __init__(self, seed):
        self.answers = Answers.of(random_grid(seed))
        self.told = json.loads(json.dumps(answers_json(self.answers)))
        self.levels = [cell["levels"] for cell in self.told["cells"]]
        self.statements = defaultdict(list)
        for one in self.told["comparisons"]:
            self.add(one["metric"], {one["a"]: 1.0, one["b"]: -1.0}, "list", one["verdict"], one["adjusted_p"])
        for claim, one in zip(self.answers.claimed, self.told["claims"], strict=True):
            if claim.obstacle or not math.isnan(claim.margin):
                continue
            terms = {self.answers.cells.index(cell): c for c, cell in claim.terms}
            said = {"as published": "better", "contrary to the paper": "worse", "too early to say": "worse"}
            self.add(one["metric"], terms, "claim", said.get(one["fate"], "cannot tell"), one["adjusted_p"])

        for factorial in self.answers.effects:
            for effect in factorial.tests.effects:
                terms = {i: effect.coefficients.get(cell.labels, 0.0) for i, cell in enumerate(self.answers.cells)}
                if effect.coefficients:
                    said = "better" if effect.adjusted <= 0.05 else "cannot tell"
                    self.add(factorial.metric.name, terms, "effect", said, float(f"{effect.adjusted:.7g}"))

    def add(self, metric, terms, place, verdict, p):
        """One statement; the first coefficient is made positive, so that each contrast has one form."""
        ordered = sorted((cell, c) for cell, c in terms.items() if abs(c) > 1e-9)
        turned = ordered[0][1] < 0
        key = metric, tuple((cell, round(c / ordered[0][1], 9)) for cell, c in ordered)
        self.statements[key].append((place, TURNED.get(verdict, verdict) if turned else verdict, p))


def check_one_contrast_has_one_verdict_and_one_p(page):
    """A claim that one of two is better is open where these are equal for practical purposes."""
    for said in page.statements.values():
        verdicts = {verdict for place, verdict, _ in said if place != "effect"}
        assert len(verdicts) < 2 or verdicts == {"equal", "cannot tell"}, said
        different = {f"{p:.6g}" for *_, p in said if p is not None}
        assert len(different) < 2, said


def check_a_claim_of_equality_agrees_with_whatever_else_is_said_of_its_cells(page):
    """Two that are equal within less are equal within more; two that are beyond it are told apart."""
    by_cells = {(one["metric"], frozenset([one["a"], one["b"]])): one for one in page.told["comparisons"]}
    for claim, one in zip(page.answers.claimed, page.told["claims"], strict=True):
        pair = by_cells.get((one["metric"], frozenset(page.answers.cells.index(cell) for _, cell in claim.terms)))
        if math.isnan(claim.margin) or claim.obstacle or pair is None or len(claim.terms) != 2:
            continue
        margin = next(of.metric.margin for of in page.answers.findings if of.metric.name == one["metric"])
        if one["fate"] in ("contrary to the paper", "too early to say"):
            assert pair["verdict"] in ("better", "worse") or margin > claim.margin, (one, pair)
        if pair["verdict"] == "equal" and claim.margin >= margin:
            assert one["fate"] == "as published", (one, pair)
        if one["fate"] == "as published" and claim.margin <= margin:
            assert pair["verdict"] == "equal", (one, pair)


def check_an_axis_matters_where_anything_tells_apart_what_differs_in_it_alone(page):
    """And two depend on each other where a claim about a change says so."""
    matters = {(one["metric"], frozenset(one["axes"])): one["matters"] for one in page.told["effects"]}
    for one in page.told["comparisons"]:
        a, b = (page.levels[one[end]] for end in "ab")
        axes = frozenset(name for name in a if a[name] != b[name])
        if one["verdict"] in TURNED and len(axes) == 1:
            assert matters.get((one["metric"], axes), True), one
    for claim, one in zip(page.answers.claimed, page.told["claims"], strict=True):
        axes = frozenset(claim.said.than) | frozenset(claim.said.since)
        told = one["fate"] in ("as published", "contrary to the paper", "too early to say")
        if told and (math.isnan(claim.margin) or one["fate"] != "as published"):
            assert matters.get((one["metric"], axes), True), one


def check_no_cell_is_the_best_that_the_list_calls_worse(page):
    """The one to take is one of those that may be the best."""
    for headline in page.told["headlines"]:
        worse = {
            one["a" if one["verdict"] == "worse" else "b"]
            for one in page.told["comparisons"]
            if one["metric"] == headline["metric"] and one["verdict"] in TURNED
        }
        assert not worse & set(headline["leaders"])
        assert len(page.told["seeds"]) < 2 or headline["best"] in headline["leaders"]


def check_what_may_overtake_the_best_is_said_wherever_verdicts_are_said_to_hold(page):
    """The headline and the section on the budget name it alike."""
    for answer, headline in zip(page.answers.findings, page.told["headlines"], strict=True):
        assert ("with twice the training steps" in headline["sentence"]) == bool(headline["rivals"])
        if answer.budget is not None:
            sentence = budget_sentence(answer, answer.budget)
            assert ("may be overtaken by" in sentence) == bool(headline["rivals"]), sentence
            held = [one["settled"] for one in page.told["courses"] if one["metric"] == answer.metric.name]
            assert ("all" not in sentence.split("would hold")[0]) or sum(held) > 1, sentence


CHECKS = (
    check_one_contrast_has_one_verdict_and_one_p,
    check_a_claim_of_equality_agrees_with_whatever_else_is_said_of_its_cells,
    check_an_axis_matters_where_anything_tells_apart_what_differs_in_it_alone,
    check_no_cell_is_the_best_that_the_list_calls_worse,
    check_what_may_overtake_the_best_is_said_wherever_verdicts_are_said_to_hold,
)


@pytest.mark.parametrize("seed", [pytest.param(i, marks=[pytest.mark.slow] if i >= 20 else []) for i in range(60)])
def test_a_page_agrees_with_itself(seed):
    page = Page(seed)
    for check in CHECKS:
        check(page)
