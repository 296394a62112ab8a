"""Claims of papers on hand-made grids of schedule × steps."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis.findings.answers import Answers
from analysis.grid_json import parse_meta
from analysis.read.runs import GridResults
from analysis.words.claims import claim_sentence, why
from analysis.words.verdicts import factor
from tests.analysis.conftest import FID, NLL, axis_of, meta, run_of
from tests.analysis.test_recomputed import Difference, adjusted_by_distance, holm

AXES = [axis_of("schedule", "Schedule", ("linear", "cosine")), axis_of("steps", "Steps", ("10", "100"))]
# (schedule, steps) → FID per seed.
FIDS = {
    ("linear", "10"): [40.0, 42.0, 41.0, 43.0],
    ("linear", "100"): [20.0, 21.0, 19.5, 20.5],
    ("cosine", "10"): [30.0, 31.0, 32.0, 29.0],
    ("cosine", "100"): [20.1, 20.8, 19.6, 20.4],
}


def claim(better, than, steps="10", **more):
    """One schedule is better than another at so many steps, or over all steps."""
    levels = [{"schedule": name} | ({"steps": steps} if steps else {}) for name in (better, than)]
    told = {"claim": "it is better", "source": "A paper", "metric": "fid", "better": levels[0], "than": levels[1]}
    return told | more


def grid_of(*claims, fids=FIDS, floors=None):
    rows = [
        run_of("-".join(levels), seed, finished=np.isfinite(value))
        | {"axis.schedule": levels[0], "axis.steps": levels[1], FID: value}
        for levels, values in fids.items()
        for seed, value in enumerate(values)
    ]
    described = meta(
        axes=AXES, baseline={}, layout="general", seeds=[0, 1, 2, 3], floors=floors or {}, expects=list(claims)
    )
    return GridResults(parse_meta(json.dumps(described), "here"), pd.DataFrame(rows), None, pd.DataFrame)


def fate(*claims, **more):
    return [outcome.fate for outcome in Answers.of(grid_of(*claims, **more)).claims]


def test_a_claim_is_as_published_contrary_or_open():
    assert fate(claim("cosine", "linear")) == ["as published"]
    assert fate(claim("linear", "cosine")) == ["contrary to the paper"]
    assert fate(claim("cosine", "linear", "100")) == ["cannot tell"]


def test_levels_that_are_not_named_are_averaged_within_each_seed():
    outcome = Answers.of(grid_of(claim("cosine", "linear", None))).claims[0]
    logs = {key: np.log(values) for key, values in FIDS.items()}
    per_seed = (logs["cosine", "10"] + logs["cosine", "100"] - logs["linear", "10"] - logs["linear", "100"]) / 2
    p = stats.ttest_1samp(per_seed, 0).pvalue
    assert outcome.fate == "as published"
    assert f"FID of cosine against linear differs by a factor of {np.exp(per_seed.mean()):.2f}" in why(outcome)
    assert p < 0.05


def test_a_claim_has_the_papers_size_beside_ours_where_its_source_has_two_values():
    here = claim("cosine", "linear", published=[13.36, 41.07])
    said = [why(outcome) for outcome in Answers.of(grid_of(here, claim("cosine", "linear"))).claims]
    assert ", in the paper by a factor of 0.33" in said[0]  # 13.36/41.07 = 0.3253
    assert said[0].replace(", in the paper by a factor of 0.33", "") == said[1]


def test_a_factor_has_as_many_decimals_as_tell_its_ends_apart():
    assert factor(math.log(1.5), math.log(1.1)) == "a factor of 1.50 (1.36 to 1.65)"
    assert factor(0.0, 0.0003) == "a factor of 1.0000 (0.9997 to 1.0003)"
    assert factor(0.0, 1e-9) == factor(0.0, math.nan) == "a factor of 1.00"


def test_on_a_linear_scale_the_papers_size_is_a_difference():
    rows = [
        run_of(name, seed) | {"axis.schedule": name, NLL: 3.0 + seed / 100 + (name == "linear") / 10}
        for name in ("linear", "cosine")
        for seed in range(3)
    ]
    told = claim("cosine", "linear", None, metric="nll", published=[3.26, 3.37])
    described = meta(axes=AXES[:1], baseline={}, layout="general", seeds=[0, 1, 2], expects=[told])
    grid = GridResults(parse_meta(json.dumps(described), "here"), pd.DataFrame(rows), None, pd.DataFrame)
    (outcome,) = Answers.of(grid).claims
    assert "in the paper by −0.11 bits/dim" in why(outcome)


def test_a_change_since_a_start_is_a_difference_of_differences():
    found = Answers.of(grid_of(claim("cosine", "linear", since={"steps": "100"}))).claims[0]
    logs = {key: np.log(values) for key, values in FIDS.items()}
    change = (logs["cosine", "10"] - logs["cosine", "100"]) - (logs["linear", "10"] - logs["linear", "100"])
    assert found.fate == "as published"
    assert f"a factor of {np.exp(change.mean()):.2f}" in why(found)


@pytest.mark.parametrize(("within", "word"), [(0.05, "as published"), (0.008, "cannot tell")])
def test_a_claim_of_equality_is_two_one_sided_tests(within, word):
    difference = np.log(FIDS["cosine", "100"]) - np.log(FIDS["linear", "100"])
    margin = np.log(1 + within)
    low = stats.ttest_1samp(difference, -margin, alternative="greater").pvalue
    high = stats.ttest_1samp(difference, margin, alternative="less").pvalue
    assert (max(low, high) <= 0.05) == (word == "as published")
    assert fate(claim("cosine", "linear", "100", within=within)) == [word]


def test_cells_with_equal_values_are_one_in_a_claim_as_in_the_list():
    """Averaged over what the metric does not read, a claim is about two cells, and counts with their comparison."""
    alike = {levels: FIDS[levels[0], "10"] for levels in FIDS}
    answers = Answers.of(grid_of(claim("cosine", "linear", None), fids=alike))
    pair = next(one for one in answers.findings[0].pairs if one.a.levels == ("cosine", "10"))
    assert answers.claims[0].listed is not None
    assert answers.claims[0].test.different == pair.adjusted_p == pair.comparison.p / 0.75


def test_two_with_the_same_values_are_equal_as_published_and_neither_is_better():
    alike = {levels: FIDS["linear", levels[1]] for levels in FIDS}
    for outcome, word in zip(
        Answers.of(grid_of(claim("cosine", "linear", within=0.02), claim("cosine", "linear"), fids=alike)).claims,
        ("As published", "Cannot tell"),
        strict=True,
    ):
        text = claim_sentence(outcome, first_look=False)
        assert text == f"{word}: it is better (A paper; here FID has the same value at every seed)."


def test_an_equality_that_clearly_fails_is_contrary():
    assert fate(claim("cosine", "linear", within=0.02)) == ["contrary to the paper"]


def test_claims_and_comparisons_of_a_metric_are_one_family():
    """Each hypothesis counts once, whatever says it how often; what the claims alone would show is not shown then."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=4)
    noise -= noise.mean()
    shift = stats.t.ppf(1 - 0.0225, 3) * noise.std(ddof=1) / 2
    fids = FIDS | {("linear", "100"): [20.0] * 4, ("cosine", "100"): list(np.exp(np.log(20.0) - (shift + noise) / 20))}
    hundred, turned = claim("cosine", "linear", "100"), claim("linear", "cosine", "100")
    close = claim("cosine", "linear", "100", within=0.2)
    logs = {levels: np.log(values) for levels, values in fids.items()}
    between = Difference(logs["cosine", "100"] - logs["linear", "100"])
    listed = [Difference(logs[levels] - logs["linear", "10"]) for levels in fids if levels != ("linear", "10")]
    beyond = Difference(logs["cosine", "100"] - logs["linear", "100"] + np.log(1.2))
    tests = [*listed, between]
    alone = adjusted_by_distance([one.p for one in tests], [one.q for one in tests], 0.75)[-1]
    p = [one.p for one in tests] + [1.0]
    with_beyond = adjusted_by_distance(p, [one.q for one in (*tests, beyond)], 0.75)
    equal = holm([one.p_equal(np.log(1.05)) for one in listed] + [between.p_equal(np.log(1.2))], 0.25)[-1]
    assert between.p < 0.05 < alone
    for claims, expected in (
        ([hundred], alone),
        ([hundred, turned, hundred], alone),
        ([hundred, close], with_beyond[3]),
    ):
        found = Answers.of(grid_of(*claims, fids=fids)).claims
        assert [one.fate for one in found[:1]] == ["cannot tell"]
        assert found[0].test.different == pytest.approx(expected, rel=1e-9)
    assert found[1].test.equal == pytest.approx(equal, rel=1e-9)
    assert found[1].fate == "as published"


@pytest.mark.parametrize(
    ("floor", "fates"), [(5.0, ["too early to say", "as published"]), (9.0, ["contrary to the paper", "as published"])]
)
def test_far_from_real_data_it_is_too_early_for_the_contrary(floor, fates):
    """The better of the two has a FID of 30.5: above five floors of 5, below five of 9."""
    floors = {FID: {"label": "held-out images, n = 450", "value": floor}}
    answers = Answers.of(grid_of(claim("linear", "cosine"), claim("cosine", "linear"), floors=floors))
    assert [one.fate for one in answers.claims] == fates
    assert ("even the better end is above 5 times what held-out images" in why(answers.claims[0])) == (floor == 5.0)


def test_what_was_not_measured_or_did_not_finish_cannot_tell():
    nll = claim("cosine", "linear", metric="nll")
    assert why(Answers.of(grid_of(nll)).claims[0]) == "nll was not measured"
    assert NLL not in grid_of(nll).runs
    lost = FIDS | {("cosine", "10"): [np.nan] * 4}
    outcome = Answers.of(grid_of(claim("cosine", "linear"), fids=lost)).claims[0]
    assert outcome.fate == "cannot tell"
    assert "fewer than two seeds" in why(outcome)


def test_the_sentence_gives_fate_claim_source_and_numbers():
    (averaged,) = Answers.of(grid_of(claim("cosine", "linear", None))).claims
    assert "(A paper; here, at the first look, FID of cosine against linear differs" in claim_sentence(
        averaged, first_look=True
    )
    (outcome,) = Answers.of(grid_of(claim("cosine", "linear"))).claims
    sentence = claim_sentence(outcome, first_look=False)
    assert sentence == claim_sentence(outcome, first_look=True)
    assert sentence.startswith(
        "As published: it is better (A paper; here FID of cosine against linear differs by a factor of 0.73 "
        "(0.67 to 0.81), p = "
    )


@pytest.mark.parametrize("seed", range(20))
def test_a_claim_about_two_cells_of_the_list_says_what_the_list_says(seed):
    """On grids of random values, whichever of the two the claim takes for the better one."""
    random = np.random.default_rng(seed)
    apart = dict(zip(FIDS, random.choice([0.0, 0.05, 0.5], len(FIDS)), strict=True))
    fids = {levels: np.exp(3 + apart[levels] + 0.1 * random.standard_normal(4)).tolist() for levels in FIDS}
    claims = [claim(a, b, steps) for steps in ("10", "100") for a, b in (("cosine", "linear"), ("linear", "cosine"))]
    answers = Answers.of(grid_of(*claims, claim("cosine", "linear", None), fids=fids))
    pairs = {frozenset([one.a.name, one.b.name]): one for one in answers.findings[0].pairs}
    listed = [outcome for outcome in answers.claims if outcome.is_listed]
    assert 0 < len(listed) <= 4
    for outcome in listed:
        pair = pairs[frozenset([outcome.listed.a.name, outcome.listed.b.name])]
        assert pair is outcome.listed
        first = (
            outcome.claim.better["schedule"] == dict(zip(("schedule", "steps"), pair.a.levels, strict=True))["schedule"]
        )
        said = pair.verdict if first else {"better": "worse", "worse": "better"}.get(pair.verdict)
        expected = {"better": "as published", "worse": "contrary to the paper"}.get(said, "cannot tell")
        assert outcome.fate == expected
    (rest,) = [outcome for outcome in answers.claims if len(outcome.claim.better) == 1]
    assert not rest.is_listed
