"""On a kind of machine that is known, cells have the digits that they had, to the last one."""

from __future__ import annotations

import pytest
import torch

from ablations.stages.devices import hardware_id
from diffusion_core.fast import fused
from tests.ablations.golden import REAL, TRAINED, real, recorded, tiny


def golden(group: str, name: str) -> dict[str, str]:
    """The recorded digits of a cell; its test is skipped where none are."""
    kind = hardware_id(torch.device("cpu"))
    known = recorded().get(kind, {}).get(group)
    if known is None:
        pytest.skip(f"no golden digits of {kind}: record them by `python -m tests.ablations.golden {group}`")
    return known[name]


needs_kernel = pytest.mark.skipif(not fused.works(), reason="no compiler here builds the kernel")
"""Digits are recorded with the kernel; torch's own operations round otherwise."""


@needs_kernel
@pytest.mark.parametrize("name", TRAINED)
def test_a_tiny_training_has_its_digits(name, tmp_path):
    assert tiny(name, tmp_path) == golden("tiny", name)


@pytest.mark.slow
@needs_kernel
@pytest.mark.parametrize("name", REAL)
def test_a_cell_of_real_size_has_its_digits(name, tmp_path):
    assert real(name, tmp_path) == golden("real", name)


def test_a_training_beside_others_has_the_digits_of_it_alone():
    for kind in recorded().values():
        assert kind["tiny"]["points beside others"] == kind["tiny"]["points"]
