"""What the shared checks pass, and what they find in data sets and extractors from outside, in one line."""

from __future__ import annotations

import re

import pytest

from ablations.metrics import extractors
from ablations.testing import CHECKS, check
from ablations.testing import extractors as shared
from diffusion_core.objectives import Weighted
from diffusion_core.schedules import Linear
from diffusion_core.testing.variants import name
from tests.ablations.testing import wrong
from tests.axes import properties
from tests.diffusion_core.wrong import Thawed

WRONG = [
    (wrong.Drawn(), r"DataSet Drawn: read must give the same data every time, but its digest is \w+ and then \w+"),
    (wrong.Leaking(), r"no example may be in two splits, but train and test share 9"),
    (wrong.Lopsided(), r"validation and test must have equally many examples, but .*'validation': 9, 'test': 6"),
    (wrong.TooBright(), r"read must give what stages can use, but grey levels must lie in 0..16, and reach 17 in test"),
    (wrong.Unjudged(), r"its extractor must take its images, but extractor fashion-cnn takes uint8 images"),
    (wrong.Elsewhere(), r"where must name fields, but 'root' is none of"),
    (wrong.Wider(), r"Architecture Wider: features must be float32 \[5, 7\], but .* they are torch.float32 \[5, 6\]"),
    (wrong.Relative(), r"features of an image must not depend on its batch or on chance, but .* in image 0"),
    (wrong.Forgetting(), r"filled from the state_dict of its holder, .*, but scale is in no file"),
    (wrong.Taking(), r"float32 images must be refused by check, but they are taken"),
    (Thawed(), r"Timesteps Thawed: a choice must be a frozen dataclass"),
]


@pytest.mark.parametrize(("choice", "message"), WRONG, ids=[name(choice) for choice, _ in WRONG])
def test_what_is_wrong_is_told_in_one_line(choice, message):
    with pytest.raises(AssertionError) as caught:
        check(choice)
    told = str(caught.value)
    assert "\n" not in told
    assert re.search(message, told), told


@pytest.mark.parametrize("choice", [wrong.Right(), wrong.Unscored(), wrong.Small(), Linear()], ids=name)
def test_what_is_right_passes(choice):
    check(choice)


def test_a_class_is_checked_by_its_variants(monkeypatch):
    seen = []
    monkeypatch.setitem(CHECKS, Weighted.__mro__[2], seen.append)
    check(Weighted)
    assert [choice.space for choice in seen] == ["epsilon", "x0", "v"]


def test_what_is_of_no_axis_is_told_so():
    with pytest.raises(TypeError, match="int is a choice of no axis: its class must derive from one of Arch"):
        check(3)


@properties(shared.PROPERTIES)
@pytest.mark.parametrize("extractor", [name for name, a in extractors.ARCHITECTURES.items() if a.shipped])
def test_every_shipped_extractor_keeps_what_extractors_keep(extractor, holds):
    holds(extractors.load(extractor).module)
