import pytest

from analysis.published import ddpm, ddpm_source, published


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
        (("mu", "beta", "weighted"), "", "", ""),
        (("x0", "beta", "vlb"), "", "", ""),
        (("x0", "beta", "simple"), "", "", ""),
        (("v", "learned", "hybrid"), "", "", ""),
        (("", "", ""), "", "", ""),
    ],
)
def test_ddpm(choices, nll, fid, inception):
    assert ddpm(*choices) == {"nll": nll, "fid": fid, "is": inception}


def test_every_number_has_a_source_and_a_certainty():
    table = published()
    assert (table[["paper", "metric", "value", "source", "certainty"]] != "").all().all()


def test_source_names_data_and_paper():
    assert "2006.11239" in ddpm_source()
    assert "CIFAR-10" in ddpm_source()
    assert "read in the paper" in ddpm_source()
