import pytest

from analysis.tables.published import numbers, papers, published
from analysis.tables.table import Column

TABLES = papers()


class Parameters(dict):
    """Parameters by their config names."""

    def parameter(self, name):
        return self.get(name, "")


def cell(**values):
    return Parameters({name.replace("__", "."): value for name, value in values.items()})


def ddpm(parameterization, variance, objective):
    return cell(parameterization=parameterization, variance=variance, objective=objective)


# Ho et al. 2020, Tables 1 and 2.
@pytest.mark.parametrize(
    ("choices", "nll", "fid", "inception"),
    [
        (("mu", "learned_diagonal", "vlb"), "", "23.69", "7.28 ± 0.10"),
        (("mu", "beta", "vlb"), "", "13.22", "8.06 ± 0.09"),
        (("mu", "beta", "simple"), "", "unstable", "unstable"),
        (("epsilon", "learned_diagonal", "vlb"), "", "unstable", "unstable"),
        (("epsilon", "beta", "vlb"), "3.70", "13.51", "7.67 ± 0.13"),
        (("epsilon", "beta_tilde", "vlb"), "3.70", "13.51", "7.67 ± 0.13"),
        (("epsilon", "beta", "simple"), "3.75", "3.17", "9.46 ± 0.11"),
        # The samples of that row are of σ² = β.
        (("epsilon", "beta_tilde", "simple"), "3.75", "", ""),
        (("mu", "beta", "weighted"), "", "", ""),
        (("x0", "beta", "vlb"), "", "", ""),
        (("x0", "beta", "simple"), "", "", ""),
        (("v", "learned", "hybrid"), "", "", ""),
        (("", "", ""), "", "", ""),
    ],
)
def test_ddpm(choices, nll, fid, inception):
    assert numbers(TABLES["ddpm_2"], ddpm(*choices)) == {"nll": nll, "fid": fid, "is": inception}


SAME = {"schedule": "linear", "timesteps": "uniform", "sampler": "ancestral"}
SAME |= {"sampler.steps": "null", "evaluation.horizon": "null"}
OTHERS = {"schedule": "cosine", "timesteps": "importance", "sampler": "ddim"}
OTHERS |= {"sampler.steps": "20", "evaluation.horizon": "20"}


@pytest.mark.parametrize("name", OTHERS)
def test_a_cell_with_another_choice_has_no_number_beside_it(name):
    assert numbers(TABLES["ddpm_2"], Parameters(ddpm("epsilon", "beta", "simple") | SAME))["fid"] == "3.17"
    other = Parameters(ddpm("epsilon", "beta", "simple") | SAME | {name: OTHERS[name]})
    assert set(numbers(TABLES["ddpm_2"], other).values()) == {""}


def test_ddpm_table_1_has_its_own_order_and_no_row_of_table_2_alone():
    found = numbers(TABLES["ddpm_1"], ddpm("epsilon", "beta", "simple"))
    assert list(found.items()) == [("is", "9.46 ± 0.11"), ("fid", "3.17"), ("nll", "3.75")]
    assert set(numbers(TABLES["ddpm_1"], ddpm("mu", "beta", "vlb")).values()) == {""}


LOSSES = {
    "simple": {"objective": "simple", "variance": "beta", "timesteps": "uniform"},
    "hybrid": {"objective": "hybrid", "variance": "learned", "timesteps": "uniform"},
    "vlb": {"objective": "vlb", "variance": "learned", "timesteps": "importance"},
}


# Nichol & Dhariwal 2021, Tables 1 and 2: schedule, loss, T, iterations → T, iterations, NLL, FID.
@pytest.mark.parametrize(
    ("table", "schedule", "loss", "horizon", "steps", "expected"),
    [
        ("iddpm_2", "cosine", "hybrid", "100", "500", ("4000", "500K", "3.17", "3.19")),
        ("iddpm_2", "linear", "simple", "1000", "500", ("1000", "500K", "3.73", "3.29")),
        ("iddpm_2", "linear", "simple", "100", "500", ("4000", "500K", "3.37", "2.90")),
        ("iddpm_2", "cosine", "vlb", "4000", "500", ("4000", "500K", "2.94", "11.47")),
        ("iddpm_2", "linear", "vlb", "4000", "500", ("", "", "", "")),
        ("iddpm_2", "cosine", "hybrid", "1000", "500", ("", "", "", "")),
        ("iddpm_1", "cosine", "simple", "100", "500", ("4000", "200K", "3.68", "27.0")),
        ("iddpm_1", "cosine", "vlb", "4000", "1500000", ("4000", "1.5M", "3.53", "40.1")),
        ("iddpm_1", "cosine", "simple", "4000", "1500000", ("", "", "", "")),
    ],
)
def test_improved_ddpm(table, schedule, loss, horizon, steps, expected):
    found = cell(parameterization="epsilon", schedule=schedule, horizon=horizon, training__steps=steps, **LOSSES[loss])
    assert tuple(numbers(TABLES[table], found).values()) == expected


@pytest.mark.parametrize(
    ("horizon", "nll"), [("100", "3.73"), ("400", "3.37"), ("1000", "3.73"), ("4000", "3.37"), ("50", "")]
)
def test_where_t_is_varied_an_equal_t_matches_or_a_tenth(horizon, nll):
    found = cell(parameterization="epsilon", schedule="linear", horizon=horizon, **LOSSES["simple"])
    assert numbers(TABLES["iddpm_2"], found, {"horizon"})["nll"] == nll


def test_a_t_that_all_cells_share_stands_for_the_longer_one():
    found = cell(parameterization="epsilon", schedule="linear", horizon="100", **LOSSES["simple"])
    assert numbers(TABLES["iddpm_2"], found)["nll"] == "3.37"


def test_the_bound_by_uniform_t_is_not_the_papers():
    found = cell(parameterization="epsilon", schedule="cosine", horizon="4000", **LOSSES["vlb"])
    assert numbers(TABLES["iddpm_2"], found)["nll"] == "2.94"
    assert numbers(TABLES["iddpm_2"], cell(**(found | {"timesteps": "uniform"})))["nll"] == ""


# Bao et al. 2022, Tables 1 and 2.
@pytest.mark.parametrize(
    ("schedule", "variance", "steps", "nll", "fid"),
    [
        ("linear", "beta_tilde", "10", "74.95", "44.45"),
        ("linear", "beta", "10", "6.99", "233.41"),
        ("linear", "beta", "1000", "3.75", "3.04"),
        ("linear", "analytic", "50", "4.38", "7.25"),
        ("cosine", "analytic", "10", "5.08", "22.94"),
        ("cosine", "beta", "20", "", ""),
        ("sigmoid", "beta", "10", "", ""),
        ("linear", "analytic_mse", "10", "", ""),
    ],
)
def test_analytic_dpm(schedule, variance, steps, nll, fid):
    found = cell(parameterization="epsilon", objective="simple", schedule=schedule, variance=variance)
    found |= cell(sampler="ancestral", sampler__steps=steps, evaluation__horizon=steps)
    assert numbers(TABLES["analytic_1"], found) == {"nll": nll}
    assert numbers(TABLES["analytic_2"], found) == {"fid": fid}


def test_all_steps_are_t_steps():
    found = cell(parameterization="epsilon", objective="simple", schedule="linear", variance="beta", horizon="1000")
    assert numbers(TABLES["analytic_1"], cell(**found, evaluation__horizon="null")) == {"nll": "3.75"}


# Kingma et al. 2021, Table 2 and Fig. 4b.
@pytest.mark.parametrize(
    ("objective", "horizon", "steps", "nll"),
    [
        ("vlb", "10", "null", "4.31"),
        ("vlb", "1000", "1000", "2.67"),
        ("vlb", "1000", "10", ""),
        ("vlb_continuous", "1000", "10", "7.54"),
        ("vlb_continuous", "250", "null", "2.74"),
        ("simple", "1000", "null", ""),
    ],
)
def test_vdm(objective, horizon, steps, nll):
    found = cell(parameterization="epsilon", schedule="learned", objective=objective, horizon=horizon)
    assert numbers(TABLES["vdm_2"], cell(**found, evaluation__horizon=steps))["nll"] == nll


@pytest.mark.parametrize(
    ("schedule", "variance"),
    [("learned", "0.53"), ("log_snr_linear", "6.35"), ("linear", "31.6"), ("cosine", "31.1"), ("sigmoid", "")],
)
def test_vdm_variance(schedule, variance):
    found = numbers(TABLES["vdm_4b"], cell(parameterization="epsilon", schedule=schedule))
    assert found == {"bound_variance": variance}


# Rombach et al. 2022, Table 8.
@pytest.mark.parametrize(
    ("regularization", "f", "channels", "codes", "expected"),
    [
        ("kl", "2", "2", "", ("KL, c = 2", "0.086", "32.47 ± 4.19")),
        ("kl", "32", "64", "", ("KL, c = 64", "2.04", "22.27 ± 3.93")),
        ("vq", "8", "4", "16384", ("VQ, c = 4", "1.14", "23.07 ± 3.99")),
        ("vq", "4", "3", "8192", ("VQ, c = 3", "0.58", "27.43 ± 4.26")),
        # Neither more channels nor fewer codes than the paper's are its autoencoder.
        ("kl", "4", "4", "", ("", "", "")),
        ("vq", "4", "3", "128", ("", "", "")),
        ("kl", "1", "1", "", ("", "", "")),
        ("", "", "", "", ("", "", "")),
    ],
)
def test_ldm(regularization, f, channels, codes, expected):
    found = cell(space__regularization=regularization, space__f=f, space__channels=channels)
    found |= cell(space__kl_weight="1e-06") if regularization == "kl" else cell(space__codes=codes)
    assert tuple(numbers(TABLES["ldm_8"], Parameters(found)).values()) == expected


@pytest.mark.parametrize("weight", ["0.3", "1.0", "0.01"])
def test_ldm_has_no_kl_of_another_weight(weight):
    found = cell(space__regularization="kl", space__f="2", space__channels="2", space__kl_weight=weight)
    assert set(numbers(TABLES["ldm_8"], found).values()) == {""}


@pytest.mark.parametrize("name", TABLES)
def test_every_word_of_a_mapping_is_in_its_rows(name):
    """That the whole file has it is asked when it is read."""
    table, rows = TABLES[name], TABLES[name].rows()
    # Words that DDPM's Table 2 has and its Table 1 has not.
    unused = (
        {"mu-tilde", "learned diagonal Sigma", "unweighted ||mu-tilde - mu_theta||^2"} if name == "ddpm_1" else set()
    )
    assert {row["dataset"] for row in rows} == set(table.data)
    assert {row["metric"] for row in rows} == set(table.metrics.values())
    for wording in table.wordings:
        assert wording.spoken <= {row[wording.column] for row in rows} | unused
    assert set(table.labels) <= {text for row in rows for text in row.values()}


@pytest.mark.parametrize("name", TABLES)
def test_a_cell_has_one_number_of_a_metric(name):
    """The choices leave one row of each metric: no two rows of the paper's agree in all that they look at."""
    table = TABLES[name]
    columns = [wording.column for wording in table.wordings]
    keys = [(*(row[column] for column in columns), row["dataset"], row["metric"]) for row in table.rows()]
    assert len(keys) == len(set(keys))


def test_every_number_has_a_source_and_a_certainty():
    table = published()
    assert (table[["paper", "metric", "value", "source", "certainty"]] != "").all().all()


@pytest.mark.parametrize("name", TABLES)
def test_footnote_and_head_say_what_the_numbers_are(name):
    table = TABLES[name]
    note = table.footnote()
    for row in table.rows():
        assert f"{row['source']}, {table.cited} ({row['certainty']}): " in note
        assert row["T_train"] in ("", "inf") or row["T_train"] in note
        assert row["iterations"] in note
    assert any(size in table.head() for size in ("32×32", "64×64", "256×256"))
    assert table.head().endswith(table.paper)


def test_a_footnote():
    assert TABLES["iddpm_2"].footnote() == (
        "arXiv 2102.09672, Table 2 (two agreeing transcriptions): CIFAR-10 32×32, T = 1000 or 4000, 500K iterations, "
        "one training each; NLL of 8-bit data in bits/dim, an upper bound over all T; FID of 50k samples against the "
        "training set, by another extractor; vlb with importance sampling of t; dropout 0.1 with linear and 0.3 with "
        "cosine, so the schedules differ in more than themselves; where T varies here, 100 and 400 steps stand beside "
        "their 1000 and 4000"
    )


def test_a_head_is_broken_between_words():
    column = Column("NLL", "ImageNet 64×64, Improved DDPM (Nichol & Dhariwal 2021)")
    assert column.group_lines(24) == ["ImageNet 64×64, Improved", "DDPM (Nichol & Dhariwal", "2021)"]
    assert column.group_lines(3)[-1] == "2021)"
    assert Column("NLL").group_lines(9) == []
