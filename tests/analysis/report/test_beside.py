"""Two grids side by side: changes of effects held to scipy, the page, and its errors."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from analysis.answers import read
from analysis.report.__main__ import main
from analysis.report.beside import effects_of, metrics_of, shared_cells
from tests.analysis.folders import FID, METRICS, NLL, axis_of, make_folder
from tests.analysis.report.pages import Page

FASHION = "fid/train/fashion-cnn"
GAINS = {"small": (0.3, 1.0), "base": (0.0, 0.0), "turned": (-0.4, 0.4), "near": (0.2, 0.2), "vague": (0.0, 0.3)}
"""Cell → what it gains over the base in A and in B, in NLL and in log FID."""
NOISE = {"vague": 0.5}


def values(side, seeds, fid, seed=0):
    rng = np.random.default_rng(seed)
    noise = {cell: NOISE.get(cell, 0.01) * rng.normal(size=(2, seeds)) for cell in GAINS}
    return {
        cell: [{NLL: 3 + side + x + g[side], fid: float(np.exp(3 + y + g[side]))} for x, y in noise[cell].T.tolist()]
        for cell, g in GAINS.items()
    }


def build(folder, side, seeds, fid=FID, **meta):
    metrics = {NLL: {"relevant": 0.1}, fid: METRICS[FID] | {"relevant": 0.1}}
    name = {"name": folder.name, "baseline": {"a": "base"}}
    return make_folder(folder, values(side, seeds, fid, seed=seeds), metrics=metrics, **name | meta)


@pytest.fixture
def grids(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return build(tmp_path / "results" / "g", 0, 6), build(tmp_path / "results" / "h", 1, 4, FASHION, data="fashion")


def test_a_change_is_welchs_test_of_the_differences_at_each_seed(grids):
    a, b = map(read, grids)
    for metric, (ours, theirs) in zip((NLL, FID), metrics_of(a, b), strict=True):
        assert (ours.name, theirs.name) == (metric, FASHION if metric == FID else NLL)
        effects = {effect.cell: effect for effect in effects_of(a, b, (ours, theirs))}
        for cell, effect in effects.items():
            scale = np.log if metric == FID else pd.DataFrame
            tables = [scale(of.values(m.name)) for of, m in ((a, ours), (b, theirs))]
            first, second = ((table.loc[cell] - table.loc["base"]).to_numpy(float) for table in tables)
            welch = stats.ttest_ind(second, first, equal_var=False)
            interval = welch.confidence_interval(0.95)
            ends = effect.change.mean - effect.change.half_width(), effect.change.mean + effect.change.half_width()
            np.testing.assert_allclose((effect.change.p(), effect.change.df), (welch.pvalue, welch.df))
            np.testing.assert_allclose(ends, (interval.low, interval.high))
        assert {cell: effect.verdict for cell, effect in effects.items()} == {
            "small": "larger",
            "turned": "reversed",
            "near": "the same",
            "vague": "cannot tell",
        }
        # Equality has a quarter of α to itself.
        adjusted = multipletests([float(effect.change.p()) for effect in effects.values()], method="holm")[1] / 0.75
        told = [i for i, effect in enumerate(effects.values()) if effect.verdict != "the same"]
        np.testing.assert_allclose([[*effects.values()][i].p for i in told], np.minimum(adjusted[told], 1))


def test_the_page_and_the_terminal_have_the_same_table(grids, capsys):
    assert main(["grid=g,h"]) == 0
    shown, page = capsys.readouterr().out, Page((grids[0].parent / "g-beside-h.html").read_text(encoding="utf-8"))
    assert "NLL: the effect is larger in h: small instead of base." in shown
    assert "NLL: the effect is larger in h: small instead of base." in page.parts["verdict"]
    rows = {tuple(row[:3]): row[3:] for row in page.table("table")}
    _, effect, _, other, change, p, verdict = rows["NLL (bits/dim) ↓", "small", "instead of base"]
    assert (effect[:4], other[:4], change[:4], p, verdict) == ("0.30", "1.00", "0.70", "< 0.001", "larger")
    assert all(text in shown for text in (effect, other, change))
    assert rows["FID ↓", "base", ""][1::2] == ["", "", ""]
    assert "are independent trainings" in page.parts["legend"]
    build(grids[1], 1, 4)
    assert main(["grid=g,h"]) == 0
    assert "share digits and 4 seeds, but count as independent trainings" in capsys.readouterr().out


def test_cells_are_shared_by_the_axes_that_vary_in_both(tmp_path):
    cells = {(x, y): [2.0, 2.1] for x in ("p", "q", "r") for y in ("s", "t")}
    a = read(make_folder(tmp_path / "g", cells, baseline={"a": "p", "b": "t"}))
    b = read(make_folder(tmp_path / "h", {"q": [2.0, 2.1], "p": [2.2, 2.3], "z": [2.2, 2.3]}))
    assert shared_cells(a, b) == {"p-t": "p", "q-t": "q"}
    assert effects_of(a, b, (a.deciding[0], b.deciding[0])) == [], "one compares with p, the other with q"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("g,g", "grid=g,g is one grid twice"),
        ("g,h,g", "grid=g,h,g are 3 grids"),
        ("g,nope", "no grid in results called 'nope'"),
        ("g,other", "the two grids share no cell: g varies a, other varies c"),
        ("g,early", "early is preliminary"),
    ],
)
def test_an_error_is_one_line(grids, given, message, capsys):
    cells = {"cells": {x: {"c": x} for x in "pq"}, "baseline": {"c": "p"}, "axes": [axis_of("c", "C", "pq")]}
    make_folder(grids[0].parent / "other", {"p": [2.0, 2.1], "q": [2.2, 2.3]}, name="other", **cells)
    now = {"number": 1, "of": 3, "seeds": 2, "preliminary": True, "finished": 4, "trainings": 12}
    build(grids[0].parent / "early", 0, 2, round=now)
    assert main([f"grid={given}"]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"error: {message}")
