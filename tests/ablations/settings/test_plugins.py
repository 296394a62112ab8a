"""Classes that a script registers: what they are known by, and what is said of wrong ones."""

from __future__ import annotations

import importlib
import linecache
import sys
import textwrap
import types

import pytest

import ablations
from ablations.grids.grid import make
from ablations.settings import grammar
from ablations.settings.arguments import parse_run
from ablations.settings.identity import cell_id, described, parameters
from ablations.settings.making import cell_of
from ablations.settings.plugins import classes as plugins
from ablations.settings.plugins.origins import origin_of
from analysis.errors import InputError
from tests.ablations.settings.outside import STEEP, module


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


def test_what_ships_has_no_origin():
    assert not [key for key in parameters(make(parse_run([])).points[0].cell) if key.endswith("origin")]


EDITS = {
    "its own code": ("return Knots(horizon, ENDS)", "return Knots(horizon, ENDS[:1] + (7.0,))", True),
    "a constant that it reads": ("(-10.0, 6.0)", "(-10.0, 6.5)", True),
    "something beside it": ("ENDS = (-10.0, 6.0)", "ENDS = (-10.0, 6.0)\n    OTHER = 3", False),
}


@pytest.mark.parametrize(("old", "new", "matters"), EDITS.values(), ids=EDITS)
def test_an_edit_makes_other_cells_where_it_changes_what_the_class_does(old, new, matters, site):
    registered(site)
    before = the_cell()
    ids = [cell_id(before, "data", "float32")]
    registered(site, STEEP.replace(old, new))
    ids.append(cell_id(the_cell(), "data", "float32"))
    assert (ids[0] != ids[1]) is matters
    if matters:
        row = parameters(before) | {"schedule.origin": "mine.py 000000000000"}
        with pytest.raises(InputError, match=r"schedule=steep of this cell was mine.py 0{12}, and here is mine.py"):
            cell_of(row, 0)


def test_a_cell_of_a_script_that_is_not_run_says_what_to_do():
    row = parameters(make(parse_run([])).points[0].cell) | {"schedule": "steep", "schedule.origin": "mine.py 0123"}
    with pytest.raises(InputError, match=r"schedule=steep of this cell is of mine.py 0123, and is not known .*main"):
        cell_of(row, 0)


def test_what_a_class_calls_in_modules_beside_it_is_part_of_its_digest(site):
    text = STEEP.replace("ENDS = (-10.0, 6.0)", "from beside import ends").replace(", ENDS", ", ends()")
    digests = []
    for level in ("6.0", "6.5"):
        module(site, "beside", f"HIGH = {level}\n\ndef ends():\n    return (-10.0, HIGH)\n")
        digests.append(origin_of(registered(site, text)))
    assert digests[0] != digests[1]


def test_a_name_that_ships_or_is_registered_already_is_refused(site):
    with pytest.raises(InputError, match=r"the class Linear would be schedule=linear, a name that is taken by one"):
        registered(site, STEEP.replace("class Steep", "class Linear") + "\n    Steep = Linear\n")
    registered(site, name="first")
    with pytest.raises(InputError, match=r"schedule=steep is registered twice, by .*first.py: .* and .*second.py:"):
        registered(site, name="second")


@pytest.mark.parametrize("thing", [3, int, "Steep"])
def test_only_choices_can_be_registered(thing):
    with pytest.raises(InputError, match=r"only a class can be registered|is no choice of any axis"):
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


@pytest.mark.parametrize(
    ("fails", "how"),
    [("{}['knots']", "KeyError: 'knots'"), ("__import__('json').loads(None)", "TypeError: the JSON object must be .*")],
)
def test_a_class_that_fails_when_it_is_built_is_a_refusal_of_its_cells(fails, how, site):
    """The line is the author's own, though the error may be raised elsewhere."""
    text = STEEP.replace("Knots(horizon, ENDS)", fails)
    registered(site, text)
    line = textwrap.dedent(text).splitlines().index(f"        return {fails}") + 1
    reason = rf"^schedule=steep of mine.py .*cannot be built here \({how}; mine.py, line {line}\)$"
    with pytest.raises(InputError, match=reason):
        the_cell("horizon=10")


BLURRED = """
    from dataclasses import dataclass

    from diffusion_core.networks.mlp import Mlp
    from diffusion_core.networks.network import Network


    @dataclass(frozen=True)
    class Steep(Network):
        def build(self, shape, channels_out):
            return Mlp().build(shape, channels_out + 1)
    """
NOTHING = """
    from dataclasses import dataclass

    from ablations.data.base import DataSet


    @dataclass(frozen=True)
    class Steep(DataSet):
        extractor = None

        def read(self):
            return None
    """


def test_a_network_whose_output_has_another_shape_is_a_refusal_that_says_so(site):
    registered(site, BLURRED)
    with pytest.raises(InputError, match=r"^network=steep gives \[1, 3\] for \[1, 2\], where \[1, 2\] is asked$"):
        make(parse_run(["network=steep", "data=mixture2d"]))


LOST = """
    import torch
    from dataclasses import dataclass
    from ablations.data.base import DataSet, image_data

    @dataclass(frozen=True)
    class Steep(DataSet):
        extractor = None

        def read(self):
            {}
    """


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("open('/nowhere/data.npy')", r"FileNotFoundError: .*'/nowhere/data.npy'; \w+\.py, line \d+"),
        (
            "return image_data({'train': torch.zeros(9, 1, 8, 8)}, {}, 17)",
            r"ValueError: there must be .* are train; \w+\.py, line \d+",
        ),
    ],
)
def test_an_error_in_a_data_set_has_its_place(body, said, site):
    registered(site, LOST.format(body))
    with pytest.raises(InputError, match=rf"the data set Steep cannot be read \({said}"):
        make(parse_run(["data=steep"])).points[0].cell.data.load()


def test_a_data_set_that_reads_nothing_is_one_line(site):
    registered(site, NOTHING)
    with pytest.raises(InputError, match=r"the data set Steep cannot be read \(.*read must give Data, got NoneType"):
        make(parse_run(["data=steep"])).points[0].cell.data.load()
