"""What the files of a grid say beside the numbers: which metrics tables show, which decoder."""

import pytest

from ablations.config import parse
from ablations.data import Digits, Mixture2d
from ablations.driver import plan
from ablations.grid import make
from ablations.records import head_of, metrics_of


@pytest.fixture(scope="module")
def points():
    return Mixture2d().load()


def names(metrics):
    return [metric["name"] for metric in metrics]


def test_metrics_of_images():
    expected = ["nll/test", "fid/train/digits-cnn", "is/digits-cnn", "copies/train"]
    assert names(metrics_of(Digits().load(), "digits-cnn")) == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({}, []),
        ({"continuous": True}, ["nll_continuous/test"]),
        ({"ode": True}, ["nll_ode/test"]),
        ({"continuous": True, "ode": True}, ["nll_continuous/test", "nll_ode/test"]),
    ],
)
def test_further_likelihoods_stand_beside_nll_where_asked_for(flags, expected, points):
    found = metrics_of(points, None, **flags)
    assert names(found) == ["nll/test", *expected, "energy_distance/test"]
    for metric in found[:-1]:
        assert (metric["unit"], metric["direction"], metric["decimals"]) == ("bits/dim", "min", 2)


@pytest.mark.parametrize(
    ("word", "decoder", "codes"),
    [
        ("data=digits", "Gaussian over grey-level bins", ["uniform code", "one histogram", "histogram per pixel"]),
        ("data=mixture2d", "Gaussian density", ["exact density"]),
    ],
)
def test_head_names_the_decoder_and_what_to_read_nll_against(word, decoder, codes):
    words = [word, "horizon=25", "network=mlp"] if "mixture" in word else [word, "horizon=25"]
    planned = plan(make(parse(words, "run")), ["cpu"])
    head = head_of(planned.grid, planned.planned, planned.data, None, 1, {})
    assert head["decoder"] == decoder
    assert list(head["baselines"]) == ["nll/test"]
    assert [code["label"] for code in head["baselines"]["nll/test"]] == codes
