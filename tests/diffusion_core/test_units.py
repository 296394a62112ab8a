"""Nats, bits and bits per dimension, and that one file of the core converts between them."""

from __future__ import annotations

import ast
import math
from pathlib import Path

import pytest
import torch

import diffusion_core
from diffusion_core.units import bits_of, bits_of_scales, bits_per_dim, bits_per_nat

CORE = Path(diffusion_core.__file__).parent


@pytest.mark.parametrize("dims", [1, 3, 784])
def test_as_many_fair_coins_as_dimensions_are_one_bit_each(dims):
    nats = torch.full((2,), -dims * math.log(0.5), dtype=torch.float64)
    one = torch.ones(2, dtype=torch.float64)
    torch.testing.assert_close(bits_per_dim(nats, dims), one, rtol=1e-15, atol=0)
    torch.testing.assert_close(nats * bits_per_nat(dims), one, rtol=1e-15, atol=0)


def test_without_dimensions_a_value_is_per_dimension_already():
    assert bits_per_nat() == bits_per_nat(1) == pytest.approx(1.4426950408889634, rel=1e-15)
    assert bits_per_dim(torch.tensor(math.log(8.0))).item() == pytest.approx(3, rel=1e-6)


def test_a_choice_among_equals_is_the_log_of_their_number_and_a_product_of_scales_its_sum():
    assert [bits_of(count) for count in (256, 1, 0.25)] == [8, 0, -2]
    assert bits_of_scales(torch.tensor([2.0, 8.0, 0.25])) == 2


def logarithms_of_two(source: str) -> list[str]:
    """The calls of log2, and of log at 2, in a module's code."""
    calls = [ast.unparse(node) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [call for call in calls if call.partition("(")[0].endswith("log2") or call.endswith(("log(2)", "log(2.0)"))]


def test_no_other_file_of_the_core_knows_the_logarithm_of_two():
    """But for the problems that the core is held to, which are written from the definitions."""
    known = {str(file.relative_to(CORE)) for file in CORE.rglob("*.py") if logarithms_of_two(file.read_text())}
    assert known == {"units.py", "problems.py"}
