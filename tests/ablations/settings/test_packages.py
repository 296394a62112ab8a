"""What packages offer is known without importing them, and each that cannot be used is told in one line."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from ablations import run
from ablations.settings import grammar
from ablations.settings.plugins.packages import complaints, offers
from ablations.settings.registry import build
from analysis.errors import InputError
from tests.ablations.settings.outside import STEEP, module, package
from tests.ablations.settings.test_grammar import one_line_error


def offer(site, points, name="steepness", version="1.2"):
    package(site, name, version, points)
    offers.cache_clear()
    grammar.use(None)


def test_a_class_of_a_package_is_a_choice_like_any_other(site):
    module(site, "steep_package")
    offer(site, {"schedule.steep": "steep_package:Steep"})
    assert grammar.options_of("schedule")["steep"] == "from the package steepness 1.2"
    assert "steep_package" not in sys.modules
    schedule = build("schedule", {**grammar.load("schedule", "steep"), "power": 2.0})
    assert type(schedule).__name__ == "Steep"
    assert schedule.power == 2.0
    assert schedule.gamma(10).horizon == 10


def test_its_wrong_fields_are_refused_as_any_others_are(site):
    module(site, "steep_package")
    offer(site, {"schedule.steep": "steep_package:Steep"})
    with pytest.raises(InputError, match=r"called 'pwer': there are power, shift, zero_terminal; did you mean"):
        build("schedule", {"name": "steep", "pwer": 2.0})
    with pytest.raises(InputError, match=r"schedule.power must be a number"):
        build("schedule", {"name": "steep", "power": "much"})


def test_files_beside_its_code_are_choices_grids_and_studies(site):
    folder = site / "steep_package" / "configs"
    module(site / "steep_package", "__init__")
    (folder / "schedule").mkdir(parents=True)
    (folder / "grid").mkdir()
    (folder / "schedule" / "very_steep.yaml").write_text("# As steep as it gets\nname: steep\npower: 9.0\n")
    (folder / "grid" / "steepness.yaml").write_text("# How steep?\nquestion: How steep?\naxes: []\n")
    offer(site, {"schedule.steep": "steep_package:Steep"})
    assert grammar.options_of("schedule")["very_steep"] == "As steep as it gets"
    assert build("schedule", grammar.load("schedule", "very_steep")).power == 9.0
    assert grammar.load("grid", "steepness")["question"] == "How steep?"


SHIPS = "steep_package:Steep"
WRONG = {
    "no axis": ({"shedule.steep": SHIPS}, "offers shedule.steep, and there is no such axis: an entry point is called"),
    "a name that is taken": ({"schedule.linear": SHIPS}, "offers schedule.linear, a name that is taken by a choice"),
}


@pytest.mark.parametrize(("points", "line"), WRONG.values(), ids=WRONG)
def test_an_offer_that_cannot_be_used_is_a_line_and_all_else_works(points, line, site):
    module(site, "steep_package")
    offer(site, points | {"schedule.steep": SHIPS})
    found = [complaint for complaint in complaints() if line in complaint]
    assert len(found) == 1
    assert found[0].startswith("the package steepness 1.2 ")
    assert build("schedule", {"name": "linear"}).gamma(100).horizon == 100
    assert build("schedule", {"name": "steep"}).gamma(100).horizon == 100


def test_every_command_says_what_cannot_be_used(site):
    module(site, "steep_package")
    offer(site, {"schedule.linear": SHIPS})
    code = "import sys; from ablations.settings.exits import exit_code; from ablations import run; "
    code += "sys.argv = ['run', '--help']; sys.exit(exit_code(run.main))"
    environment = os.environ | {"PYTHONPATH": f"{site}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stderr.startswith("warning: the package steepness 1.2 offers schedule.linear, a name that is taken")
    assert len(done.stderr.splitlines()) == 1
    assert "--help" in done.stdout or "grid=NAME" in done.stdout


def test_two_packages_with_one_name_are_a_line(site):
    module(site, "steep_package")
    package(site, "another", "0.3", {"schedule.steep": SHIPS})
    offer(site, {"schedule.steep": SHIPS})
    with pytest.raises(InputError, match="no schedule called 'steep'"):
        run.main(["schedule=steep"])
    told = "schedule.steep is offered more than once, by another 0.3 and steepness 1.2: uninstall one of them"
    assert complaints() == [told]


def test_two_versions_of_a_package_are_a_line(site, tmp_path, monkeypatch):
    module(site, "steep_package")
    package(tmp_path / "older", "steepness", "1.1", {"schedule.steep": SHIPS})
    monkeypatch.syspath_prepend(tmp_path / "older")
    offer(site, {"schedule.steep": SHIPS})
    (line,) = complaints()
    assert line.startswith("the package steepness is installed in two versions, 1.1 in ")
    assert line.endswith(": uninstall one of them")


BROKEN = {
    "ends the process": ("import sys; sys.exit(3)", r"cannot be imported \(SystemExit: 3\)"),
    "cannot be made": (
        STEEP + "\n        def __post_init__(self):\n            raise RuntimeError('says no')\n",
        r"schedule=steep of steepness 1.2 \w{12} cannot be made \(RuntimeError: says no\)",
    ),
    "fails on import": ("raise RuntimeError('no licence')", r"cannot be imported \(RuntimeError: no licence\)"),
    "is not there": ("", r"cannot be imported \(AttributeError: .*Steep"),
    "is no class": ("Steep = 3", r"schedule.steep is steep_package:Steep, which is no class"),
    "is of no axis": ("class Steep: pass", r"the class Steep is no choice of any axis: it must be derived from one of"),
    "is abstract": (STEEP.replace("def build", "def bild"), r"the class Steep is abstract: schedule=steep lacks build"),
    "is not frozen": (STEEP.replace("(frozen=True)", ""), r"cannot inherit non-frozen dataclass from a frozen"),
    "has another name": (
        STEEP.replace("Steep(", "Flat(") + "\n    Steep = Flat\n",
        r"offers schedule.steep, and Flat is the choice schedule.flat: give the entry point that name",
    ),
}


@pytest.mark.parametrize(("text", "line"), BROKEN.values(), ids=BROKEN)
def test_a_class_that_is_none_is_one_line_when_it_is_asked_for(text, line, site, capsys, monkeypatch):
    module(site, "steep_package", text)
    offer(site, {"schedule.steep": SHIPS})
    said = one_line_error(run.main, ["schedule=steep", "dry_run=true"], capsys, monkeypatch)
    assert re.search(line, said), said
    assert build("schedule", {"name": "cosine"}).gamma(100).horizon == 100
