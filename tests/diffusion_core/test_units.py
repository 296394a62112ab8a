"""Nats, bits and bits per dimension, and that one file of the core converts between them."""

from __future__ import annotations

import math

import pytest
import torch

from diffusion_core.units import bits_of, bits_of_scales, bits_per_dim, bits_per_nat


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
