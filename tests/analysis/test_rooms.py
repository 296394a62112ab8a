"""Imports within `analysis` go down: report ─▶ tables, figures ─▶ findings ─▶ statistics, read ─▶ notation, errors."""

import pytest

from tests.test_layers import imported, modules

FLOORS = (
    {"report"},
    {"tables", "figures"},
    {"commands", "findings"},
    {"statistics", "read"},
    {"notation", "errors"},
)
BELOW = {room: set().union(*FLOORS[i + 1 :]) for i, floor in enumerate(FLOORS) for room in floor}
INSIDE = modules("analysis")


def room(module):
    return module.split(".")[1]


def test_every_room_has_a_floor():
    assert {room(module) for module in INSIDE if module != "analysis"} == set(BELOW)


@pytest.mark.parametrize("name", BELOW)
def test_a_room_imports_what_lies_below_it_alone(name):
    wrong = {
        f"{module} imports {other}"
        for module, file in INSIDE.items()
        if module != "analysis" and room(module) == name
        for other in imported(module, file) & (INSIDE.keys() - {"analysis"})
        if room(other) not in {name, *BELOW[name]}
    }
    assert wrong == set()
