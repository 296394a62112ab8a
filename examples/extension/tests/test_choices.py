"""Every choice of this package passes the checks of those that ship."""

from __future__ import annotations

import pytest
from ablations_stripes.data import Stripes
from ablations_stripes.metric import Straightness
from ablations_stripes.network import Transformer
from ablations_stripes.schedule import Laplace

from ablations import check


@pytest.mark.parametrize(
    "choice", [Stripes(), Straightness(), Transformer(), Laplace()], ids=lambda choice: str(choice)
)
def test_it_is_a_choice_like_any_other(choice: object) -> None:
    check(choice, Stripes())
