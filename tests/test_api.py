"""The core's surface: what `diffusion_core` offers, and the page that lists it."""

import dataclasses
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import diffusion_core

PAGE = Path(__file__).parents[1] / "docs" / "api.md"
SHOWN = dict(re.findall(r"^- \[(.*?)\]\(.*?\): ([^-#]*)", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
MODULES = list(SHOWN)
THINGS = {
    f"{module}.{name}": getattr(importlib.import_module(module), name)
    for module in MODULES
    for name in importlib.import_module(module).__all__
}
PAPER = r"[A-Z]\w+(?: et al\.| & [A-Z]\w+) \d{4}"
CLASSES = {place: thing for place, thing in THINGS.items() if inspect.isclass(thing)}


def test_every_module_that_says_what_it_offers_is_on_the_page():
    files = (Path(diffusion_core.__file__).parent).rglob("*.py")
    offering = {file for file in files if "__all__" in file.read_text(encoding="utf-8")}
    shown = {Path(importlib.import_module(module).__file__) for module in [*MODULES, "diffusion_core"]}
    assert offering == shown
    assert {module: re.findall(r"`(\w+)`", names) for module, names in SHOWN.items()} == {
        module: importlib.import_module(module).__all__ for module in MODULES
    }


@pytest.mark.parametrize("place", CLASSES)
def test_a_class_names_its_arguments_and_where_it_is_from(place):
    text = CLASSES[place].__doc__
    if dataclasses.is_dataclass(CLASSES[place]):
        own = CLASSES[place].__annotations__
        names = [field.name for field in dataclasses.fields(CLASSES[place]) if field.name in own]
        assert [name for name in names if f"`{name}`" not in text] == []
    papers = [*re.findall(PAPER, text)]
    assert len(re.findall(r"arXiv:\d{4}\.\d{4,5}\b", text)) == len(papers), papers


def test_what_a_first_program_needs_is_offered_and_imported_when_it_is_asked_for():
    code = "import sys, diffusion_core\nassert 'torch' not in sys.modules\nfrom diffusion_core import Training\n"
    code += "assert 'torch' not in sys.modules\ndiffusion_core.Choices\nassert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    offered = list(THINGS.values())
    assert all(getattr(diffusion_core, name) in offered for name in diffusion_core.__all__)
    assert set(diffusion_core.__all__) <= set(dir(diffusion_core))


def test_what_is_not_offered_is_no_attribute():
    with pytest.raises(AttributeError, match="offers no 'Choice'"):
        diffusion_core.Choice  # noqa: B018
