"""Each layout against numbers worked out by hand: means of `crossed` are 2.5, 2.6 … (NLL) and 20.0, 20.1 … (FID), with
half-widths of 2.484 · 0.02 = 0.05 and 2.484 · 1 = 2.5."""

import pytest

from analysis import schema
from analysis.errors import InputError
from analysis.layouts import LAYOUTS, table_of
from analysis.published import papers, published
from tests.analysis.small import FID, IS, NLL, choices, crossed

TARGET = choices("Target", "parameterization", "mu", "epsilon", mu="μ̃", epsilon="ε")
LOSS = choices("Objective", "objective", "vlb", "simple", vlb="L", simple="unweighted MSE")
HYBRID = {"simple": ("unweighted MSE", {}), "hybrid": ("hybrid", {"objective": "hybrid", "variance": "learned"})}
SCHEDULE = choices("Schedule", "schedule", "linear", "cosine")
VARIANCE = choices("σ²", "variance", "beta_tilde", "beta", beta_tilde="β̃", beta="β")
BOTH = {NLL: 2.5, FID: 20.0}


def body(table):
    """Rows as label → texts, with "*" for bold, titles as they come."""
    rows = {}
    for line in table.lines:
        rows.setdefault(line.title.text, [])
        labels = " | ".join(entry.text for entry in line.entries[: table.labels])
        rows[labels] = [entry.text + "*" * entry.bold for entry in line.entries[table.labels :]]
    return rows


def heads(table):
    return [head.label for head in table.heads[: table.labels]], [h[:2] for h in table.heads[table.labels :]]


def test_ddpms_tables_with_the_papers_numbers_beside_ours(tmp_path):
    analysis = crossed(tmp_path / "g", {"target": TARGET, "loss": LOSS}, BOTH | {IS: 7.0}, layout="ddpm_table_2")
    table, theirs = table_of(analysis), "CIFAR-10 32×32, DDPM (Ho 2020)"
    ours = [(label, "ours, digits") for label in ("NLL (bits/dim) ↓", "FID ↓", "IS ↑")]
    assert heads(table) == (["Objective"], ours + [(label, theirs) for label in ("NLL", "FID", "IS")])
    assert [line.title.text for line in table.lines] == ["Target μ̃", "Target μ̃", "Target ε", "Target ε"]
    # Ho et al. 2020, Table 2: L and the unweighted MSE with fixed Σ.
    assert body(table)["unweighted MSE"] == ["2.80 ± 0.05", "20.3 ± 2.5", "7.30 ± 0.25*", "3.75", "3.17", "9.46 ± 0.11"]
    assert [e.text for e in table.lines[0].entries[1:]][3:] == ["", "13.22", "8.06 ± 0.09"]
    assert any(note.startswith("arXiv 2006.11239, Tables 1 and 2 (read in the paper)") for note in table.notes)
    first = table_of(analysis, "ddpm_table_1")
    assert [label for label, _ in heads(first)[1]] == ["IS ↑", "FID ↓", "NLL (bits/dim) ↓", "IS", "FID", "NLL"]
    assert body(first)["ε | unweighted MSE"][3:] == ["9.46 ± 0.11", "3.17", "3.75"]


@pytest.mark.parametrize(("layout", "theirs"), [("improved_ddpm_1", "3.62 28.0"), ("improved_ddpm_2", "3.17 3.19")])
def test_improved_ddpm_tells_cells_apart_by_their_choices(layout, theirs, tmp_path):
    table = table_of(crossed(tmp_path / "g", {"schedule": SCHEDULE, "loss": ("Loss", HYBRID)}, BOTH, layout=layout))
    assert heads(table)[0] == ["Iters", "T", "Schedule", "Objective"]
    hybrid = body(table)["4000 | 100 | cosine | hybrid"]
    assert hybrid[:3] + hybrid[4:] == ["2.80 ± 0.05", "20.3 ± 2.5", "4000", *theirs.split()]


def test_vdms_matrix_of_t_by_t(tmp_path):
    own = {"objective": "vlb", "schedule": "learned"}
    trained = {t: (t, {"horizon": t} | own) for t in ("10", "100")}
    trained["inf"] = "∞", own | {"objective": "vlb_continuous"}
    axes = {"t": ("T in training", trained), "k": choices("T in evaluation", "evaluation.horizon", "10", "100")}
    known = {NLL: [{"label": "uniform code", "value": 4.0875}]}
    table = table_of(crossed(tmp_path / "g", axes, {NLL: 2.5}, [("10", "100")], layout="vdm", baselines=known))
    across = ["10", "100", "250", "500", "1000", "10000", "∞"]
    assert heads(table) == (["T in training"], [(text, "T in evaluation") for text in across])
    assert body(table) == {
        "NLL (bits/dim) ↓, ours, digits": [],
        "10": ["2.50 ± 0.05*", "", *[""] * 5],
        "100": ["2.60 ± 0.05", "2.70 ± 0.05", *[""] * 5],
        "∞": ["2.80 ± 0.05", "2.90 ± 0.05", *[""] * 5],
        "NLL, CIFAR-10 32×32, VDM (Kingma 2021)": [],
        "trained at the T of evaluation": ["4.31", "2.84", "2.73", "2.68", "2.67", "2.66", ""],
        "trained in continuous time": ["7.54", "2.90", "2.74", "2.69", "2.67", "2.65", "2.65"],
    }
    assert table.notes[0] == "NLL known beforehand: 4.09 (uniform code)"


def test_analytic_dpm_has_a_block_per_metric_and_schedule(tmp_path):
    """NLL has no paper's rows, as the axis does not change the steps of the bound."""
    axes = {"schedule": SCHEDULE, "variance": VARIANCE, "steps": choices("Steps", "sampler.steps", "10", "50")}
    table = table_of(crossed(tmp_path / "g", axes, BOTH, layout="analytic_dpm"))
    assert [label for label, _ in heads(table)[1]] == ["10", "25", "50", "100", "200", "400", "1000"]
    titles = list(dict.fromkeys(line.title.text for line in table.lines))
    assert [title[:3] for title in titles] == ["NLL", "NLL", "FID", "FID", "FID", "FID"]
    assert titles[2] == "FID ↓, ours, digits, Schedule linear"
    assert titles[3] == "FID, CIFAR-10 32×32 by a linear schedule (LS), Analytic-DPM (Bao 2022)"
    assert "NLL does not depend on Steps, which does not change evaluation.horizon" in table.notes
    # Bao et al. 2022, Table 2, linear schedule, σ² = β̃: 44.45 at 10 steps, 21.83 at 25.
    own, theirs = ([entry.text for entry in table.lines[i].entries[:4]] for i in (4, 6))
    assert own == ["β̃", "20.0 ± 2.5", "", "20.1 ± 2.5"]
    assert theirs == ["β̃", "44.45", "21.83", "15.21"]


def test_ldm(tmp_path):
    kl = {"space.regularization": "kl", "space.kl_weight": "1e-06"}
    levels = {f"f{f}": (f"f = {f}", kl | {"space.f": f, "space.channels": c}) for f, c in (("4", "3"), ("8", "4"))}
    metrics = BOTH | {"rfid/digits-cnn": 3.0, "psnr/test": 24.0}
    table = table_of(crossed(tmp_path / "g", {"f": ("Autoencoder", levels)}, metrics, layout="ldm"))
    # PSNR is better where it is higher; Rombach et al. 2022, Table 8.
    ours = ["2.60 ± 0.05", "20.1 ± 2.5", "3.10 ± 0.02", "24.10 ± 0.02*"]
    assert body(table)["f = 8"] == [*ours, "KL, c = 4", "0.90", "24.19 ± 4.19"]


@pytest.mark.parametrize("layout", ["analytic_dpm", "ddpm_table_2"])
def test_a_layout_that_does_not_fit_is_refused_and_a_grids_own_falls_back(layout, tmp_path):
    analysis = crossed(tmp_path / "g", {"schedule": SCHEDULE}, BOTH, layout=layout)
    assert table_of(analysis) == table_of(analysis, "general")
    with pytest.raises(InputError, match=f"layout={layout} does not fit a grid that varies schedule: take layout=gen"):
        table_of(analysis, layout)
    assert tuple(LAYOUTS) == schema.LAYOUTS


DDPM = ("parameterization", "variance", "objective", "schedule", "sampler.steps")
LDM = ("space.regularization", "space.f", "space.channels", "space.kl_weight", "space.codes")


@pytest.mark.parametrize(
    ("table", "names", "values", "expected"),
    [
        ("ddpm_2", DDPM, "mu learned_diagonal vlb", ["", "23.69", "7.28 ± 0.10"]),
        # The samples of that row are of σ² = β.
        ("ddpm_2", DDPM, "epsilon beta_tilde simple", ["3.75", "", ""]),
        ("ddpm_2", DDPM, "epsilon beta simple cosine", ["", "", ""]),
        ("vdm_4b", ("parameterization", "schedule"), "epsilon log_snr_linear", ["6.35"]),
        ("ldm_8", LDM, "kl 2 2 0.01", ["", "", ""]),
        ("ldm_8", LDM, "kl 2 2 1e-06", ["KL, c = 2", "0.086", "32.47 ± 4.19"]),
    ],
)
def test_a_papers_numbers_stand_beside_a_cell_of_its_choices_alone(table, names, values, expected):
    own = dict(zip(names, values.split(), strict=False))
    assert list(papers()[table].numbers(own).values()) == expected


@pytest.mark.parametrize("table", papers().values(), ids=papers())
def test_every_word_of_papers_yaml_is_in_published_csv(table):
    """And a cell has one number of a metric: no two rows agree in all that they are chosen by."""
    for wording in table.wordings:
        each = [*wording.words.values(), *wording.varied.values(), wording.otherwise]
        words = {word for some in each for word in ([some] if isinstance(some, str) else some)} - {"=", ""}
        assert words <= set(published()[wording.column])
        assert all(len(key.split(", ")) == len(wording.parameters) for key in (*wording.words, *wording.varied))
    assert set(table.metrics.values()) == {row["metric"] for row in table.rows}
    assert set(table.data) == {row["dataset"] for row in table.rows}
    keys = [(*(row[w.column] for w in table.wordings), row["dataset"], row["metric"]) for row in table.rows]
    assert len(keys) == len(set(keys)) > 0
    assert all(row["source"] and row["certainty"] and row["source"] in table.footnote() for row in table.rows)
