"""A cell's defaults are those of the core, and those of before there were others leave its identity what it was."""

from __future__ import annotations

import pytest

from ablations.settings.making import make_cell
from ablations.settings.registry import read_by_id
from diffusion_core.choices import Choices

NEW = {
    "training": {"optimizer": "muon", "rate": "wsd", "clip": 1.0, "flips": True, "micro_batch": 8, "snapshots": 4},
    "evaluation": {"iwae": 2, "n": 30, "reference": "test"},
    "schedule": {"shift": 3.0, "zero_terminal": True},
    "conditioning": {"self_conditioning": True},
    "coupling": {"k": 4},
    "guidance": {"scale": 2.0},
    "average": {"std": 0.1},
}
"""Fields that are younger than identities, or of axes that are, at other values than the default."""


def test_what_is_not_said_is_the_same_in_a_cell_and_in_the_core():
    assert Choices.of(make_cell([{}], seed=0)) == Choices()


@pytest.mark.parametrize("axis", NEW)
def test_what_is_younger_than_identities_enters_them_where_it_is_asked_for(axis):
    choices = {"coupling": "immiscible", "average": "power"}
    settings = {f"{axis}.{name}": value for name, value in NEW[axis].items()}
    choice = {axis: choices[axis]} if axis in choices else {}
    plain, asked = (read_by_id(make_cell([given], seed=0)) for given in ({}, {**choice, **settings}))
    assert not NEW[axis].keys() & plain.get(axis, {}).keys()
    assert asked[axis].items() >= NEW[axis].items()


def test_a_cooldown_is_read_by_the_rate_that_has_one():
    for rate, read in (("wsd", True), ("cosine", False)):
        cell = make_cell([{"training.rate": rate, "training.cooldown": 0.4}], seed=0)
        assert ("cooldown" in read_by_id(cell)["training"]) == read
