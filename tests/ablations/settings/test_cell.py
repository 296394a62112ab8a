"""A cell's defaults are those of the core, so that the same words mean the same on a command line and in Python."""

from __future__ import annotations

from ablations.settings.choices import choices_of
from ablations.settings.making import make_cell
from diffusion_core.choices import Choices


def test_what_is_not_said_is_the_same_in_a_cell_and_in_the_core():
    assert choices_of(make_cell([{}], seed=0)) == Choices()
