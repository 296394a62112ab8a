"""The public surface: the names of each package are pinned, and docs/api.md shows the core's beside their files."""

import dataclasses
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ablations
import analysis
import diffusion_core
from diffusion_core import Coupling, Objective, Parameterization, Sampler, Schedule, Spacing, Timesteps, Variance
from tests.axes import classes

PAGE = (Path(__file__).parents[1] / "docs" / "api.md").read_text(encoding="utf-8")
SHOWN = {
    (module, name)
    for module, names in re.findall(r"^- \[(.*?)\]\(.*?\): ([^-#]*)", PAGE, re.MULTILINE)
    for name in re.findall(r"`(\w+)`", names)
}
PAPER = r"[A-Z]\w+(?: et al\.| & [A-Z]\w+) \d{4}"
CLASSES = [name for name in diffusion_core.__all__ if inspect.isclass(getattr(diffusion_core, name))]


def test_the_public_names_are_few():
    assert len(diffusion_core.__all__) <= 100, "a new choice of an axis may raise this"
    assert sorted(ablations.__all__) == ["check", "main", "register", "run", "run_search"]
    assert analysis.__all__ == ["read"]


def test_the_page_shows_each_public_name_beside_its_file():
    assert sorted(name for _, name in SHOWN) == sorted(diffusion_core.__all__)
    for module, name in SHOWN:
        assert getattr(importlib.import_module(module), name) is getattr(diffusion_core, name)


@pytest.mark.parametrize(
    "axis", [Schedule, Parameterization, Variance, Objective, Timesteps, Coupling, Sampler, Spacing]
)
def test_every_choice_of_an_axis_is_public(axis):
    assert {cls.__name__ for cls in classes(axis)} <= set(diffusion_core.__all__)


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_names_its_arguments_and_where_it_is_from(name):
    cls = getattr(diffusion_core, name)
    if dataclasses.is_dataclass(cls):
        own = [field.name for field in dataclasses.fields(cls) if field.name in cls.__annotations__]
        assert [field for field in own if f"`{field}`" not in cls.__doc__] == []
    papers = re.findall(PAPER, cls.__doc__)
    assert len(re.findall(r"arXiv:\d{4}\.\d{4,5}\b", cls.__doc__)) == len(papers), papers


def test_a_public_name_is_imported_when_it_is_asked_for():
    code = "import sys, diffusion_core\nassert 'torch' not in sys.modules\nfrom diffusion_core import Training\n"
    code += "assert 'torch' not in sys.modules\ndiffusion_core.Choices\nassert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
