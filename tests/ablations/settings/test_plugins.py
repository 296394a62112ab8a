"""Classes that a script registers: what they are known by, and what is said of wrong ones."""

from __future__ import annotations

import importlib
import linecache
import re
import sys
import textwrap
import types

import pytest

import ablations
from ablations.driver import run
from ablations.grids.grid import make
from ablations.settings import grammar, plugins
from ablations.settings.arguments import parse_run
from ablations.settings.making import cell_of
from ablations.settings.plugins import offers, origin_of
from ablations.settings.registry import cell_id, described, parameters
from analysis.errors import InputError
from tests.ablations.settings.outside import STEEP, module, package
from tests.ablations.settings.test_grammar import one_line_error


def registered(site, text=STEEP, name="mine"):
    module(site, name, text)
    return ablations.register(importlib.import_module(name).Steep)


def the_cell(*words):
    return make(parse_run(["schedule=steep", *words])).points[0].cell


def test_a_registered_class_is_named_by_text_and_explained_by_its_docstring(site):
    cls = registered(site)
    assert isinstance(the_cell("schedule.power=3.0").schedule, cls)
    assert grammar.options_of("schedule")["steep"] == "A schedule between two ends."
    # Other tests may have imported classes from outside as well.
    assert "mine" in plugins.modules()


def test_its_origin_is_in_the_identity_and_in_the_row(site):
    registered(site)
    cell = the_cell()
    origin = described(cell)["schedule"]["origin"]
    assert origin.startswith("mine.py ")
    assert len(origin) == len("mine.py ") + 12
    assert parameters(cell)["schedule.origin"] == origin
    assert cell_of(parameters(cell), cell.seed) == cell


def test_an_edit_makes_other_cells(site):
    ids = set()
    for ends in ("(-10.0, 6.0)", "(-10.0, 6.5)"):
        registered(site, STEEP.replace("(-10.0, 6.0)", ends))
        ids.add(cell_id(the_cell(), "data", "float32"))
    assert len(ids) == 2
    row = parameters(the_cell()) | {"schedule.origin": "mine.py 000000000000"}
    with pytest.raises(InputError, match=r"schedule=steep of this cell is of mine.py 0{12}, and here it is of mine.py"):
        cell_of(row, 0)


def test_what_a_class_calls_in_modules_beside_it_is_part_of_its_digest(site):
    text = STEEP.replace("ENDS = (-10.0, 6.0)", "from beside import ends").replace(", ENDS", ", ends()")
    digests = []
    for level in ("6.0", "6.5"):
        module(site, "beside", f"HIGH = {level}\n\ndef ends():\n    return (-10.0, HIGH)\n")
        digests.append(origin_of(registered(site, text)))
    assert digests[0] != digests[1]


def test_a_name_that_ships_or_is_registered_already_is_refused(site):
    with pytest.raises(InputError, match=r"the class Linear, schedule=linear, has the name of one that ships: call"):
        registered(site, STEEP.replace("class Steep", "class Linear") + "\n    Steep = Linear\n")
    registered(site, name="first")
    with pytest.raises(InputError, match=r"the class Steep, schedule=steep, has the name of one in .*first.py: call"):
        registered(site, name="second")


@pytest.mark.parametrize("thing", [3, int, "Steep"])
def test_only_choices_can_be_registered(thing):
    with pytest.raises(InputError, match=r"is no class of any axis: derive it from one of"):
        ablations.register(thing)


def typed_into_a_notebook(text, monkeypatch, place="cell 1"):
    """A class as a notebook has it: its module has no file, and its lines are kept."""
    notebook, text = types.ModuleType("notebook"), textwrap.dedent(text)
    monkeypatch.setitem(sys.modules, "notebook", notebook)
    linecache.cache[place] = (len(text), None, text.splitlines(keepends=True), place)
    exec(compile(text, place, "exec"), notebook.__dict__)
    return ablations.register(notebook.Steep)


def test_a_class_of_a_notebook_is_known_by_its_functions_and_fields_and_stays_in_its_process(site, monkeypatch):
    texts = [STEEP, STEEP.replace("power: float = 1.0", "power: float = 2.0"), STEEP.replace("(-10.0", "(-9.0"), STEEP]
    origins = [origin_of(typed_into_a_notebook(text, monkeypatch, f"cell {i}")) for i, text in enumerate(texts)]
    assert origins[0].startswith("a notebook ")
    assert len(set(origins)) == 3
    assert origins[0] == origins[3]
    with pytest.raises(InputError, match=r"the class Steep is in no file, so .*, or take launcher=serial"):
        plugins.modules()


SHIPS = "steep_package:Steep"


def offer(site, points, text=STEEP):
    """Install a package that offers these."""
    module(site / "steep_package", "__init__", text)
    package(site, "steepness", "1.2", points)
    offers.cache_clear()
    grammar.use(None)


def test_a_class_of_a_package_is_a_choice_like_any_other_and_so_are_files_beside_it(site):
    offer(site, {"schedule.steep": SHIPS})
    folder = site / "steep_package" / "configs"
    (folder / "schedule").mkdir(parents=True)
    (folder / "schedule" / "very_steep.yaml").write_text("# As steep as it gets\nname: steep\npower: 9.0\n")
    assert grammar.options_of("schedule")["steep"] == "from steepness 1.2"
    assert grammar.options_of("schedule")["very_steep"] == "As steep as it gets"
    assert "steep_package" not in sys.modules
    assert the_cell("schedule.power=2.0").schedule.power == 2.0
    assert make(parse_run(["schedule=very_steep"])).points[0].cell.schedule.power == 9.0
    assert parameters(the_cell())["schedule.origin"].startswith("steepness 1.2 ")
    with pytest.raises(InputError, match=r"called 'pwer': there are power, shift, zero_terminal; did you mean"):
        the_cell("schedule.pwer=2.0")
    with pytest.raises(InputError, match=r"schedule.power must be a valid number"):
        the_cell("schedule.power=much")


def test_what_has_a_name_that_ships_or_is_of_no_axis_is_no_offer_and_all_else_works(site):
    offer(site, {"shedule.steep": SHIPS, "schedule.linear": SHIPS, "schedule.steep": SHIPS})
    assert list(offers()) == [("schedule", "steep")]
    assert type(the_cell().schedule).__name__ == "Steep"


BROKEN = {
    "ends the process": ("import sys; sys.exit(3)", r"cannot be used \(SystemExit: 3\)"),
    "is not there": ("", r"cannot be used \(AttributeError: .*Steep"),
    "is abstract": (STEEP.replace("def build", "def bild"), r"the class Steep, schedule=steep, lacks build"),
    "has another name": (
        STEEP.replace("Steep(", "Flat(") + "\n    Steep = Flat\n",
        r"cannot be used \(InputError: its class is schedule.flat\): mend it",
    ),
}


@pytest.mark.parametrize(("text", "line"), BROKEN.values(), ids=BROKEN)
def test_a_class_that_is_none_is_one_line_when_it_is_asked_for(text, line, site, capsys):
    offer(site, {"schedule.steep": SHIPS}, text)
    said = one_line_error(run.main, ["schedule=steep", "dry_run=true"], capsys)
    assert re.search(line, said), said
