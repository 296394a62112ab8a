"""What a cell is known by: a hash of its built choices, defaults included, of its data's digest and of its precision.

Equal cells are one cell whatever text they came from. `cell_id` leaves the seed out: seeds are repetitions of one cell.
A field that is younger than results which are kept enters only where it differs from what was done before it (`LATER`),
a choice that has got another name is known by its former one (`FORMER`), and a file enters by what it holds, never by
where it lies.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ablations.settings.cell import AXES, PLAIN, Cell
from ablations.settings.origins import origin_of
from ablations.settings.registry import describe

if TYPE_CHECKING:
    from diffusion_core.precision import Precision

NUMERICS = 1
"""Raised whenever a change alters numbers at equal seed, so that old results are never taken for new ones."""

LATER: dict[str, Any] = {
    "time_input": "t",
    "first_step": "schedule",
    "budget": "steps",
    "space.name": "pixels",
    "objective.power": 0.0,
    "sampler.skip": 0.0,
    "evaluation.continuous": 0,
    "evaluation.ode": 0,
    "evaluation.ode_steps": 32,
    "evaluation.fit": 128,
    "evaluation.estimates": 0,
}
"""Fields that came after results which are kept, and the value that stands for what was done before them."""

FORMER = {"schedule": {"saved": "found"}}
"""Axis → the present names of choices, and those under which identities and older files know them."""


def described(cell: Cell, *, places: bool = False) -> dict[str, Any]:
    """Every choice of a cell but its seed, as plain values; with `places`, also where their files lie."""
    choices = {axis: describe(getattr(cell, axis), places=places) for axis in AXES}
    return choices | {item.name: getattr(cell, item.name) for item in fields(cell) if item.name in PLAIN}


def from_outside(cell: Cell) -> list[tuple[str, Any, str]]:
    """(axis, choice, where its class comes from) of each choice of a cell that does not ship."""
    choices = [(axis, getattr(cell, axis)) for axis in AXES]
    return [(axis, choice, origin) for axis, choice in choices if (origin := origin_of(type(choice)))]


def identity(cell: Cell) -> dict[str, Any]:
    """`described` as identities read it: names as they were, and no field of `LATER` at its value of before."""
    kept: dict[str, Any] = {}
    for axis, value in described(cell).items():
        if isinstance(value, dict):
            former = former_names(axis, value)
            younger = {key: entry for key, entry in former.items() if not _as_before(f"{axis}.{key}", entry)}
            kept |= {axis: younger} if younger else {}
        elif not _as_before(axis, value):
            kept[axis] = value
    return kept


def former_names(axis: str, values: dict[str, Any]) -> dict[str, Any]:
    """A described choice under the name by which identities know it."""
    return values | {"name": FORMER.get(axis, {}).get(values["name"], values["name"])}


def present_name(axis: str, name: str) -> str:
    """The present name of a choice that an older file may call otherwise."""
    return {former: present for present, former in FORMER.get(axis, {}).items()}.get(name, name)


def _as_before(field: str, value: Any) -> bool:
    return field in LATER and bool(LATER[field] == value)


def cell_id(cell: Cell, digest: str, precision: Precision, extractor: str | None = None) -> str:
    """12 hex digits that name a cell on data of this digest, whatever its seed.

    `extractor` is its features' identity, which counts where the cell brings their weights.
    """
    content: dict[str, Any] = {"cell": identity(cell), "digest": digest, "precision": precision}
    return content_hash(content | ({"extractor": extractor} if cell.evaluation.weights else {}))


def content_hash(content: dict[str, Any]) -> str:
    """12 hex digits of a canonical JSON text, NUMERICS included."""
    text = json.dumps({"numerics": NUMERICS, **content}, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def parameters(cell: Cell) -> dict[str, str]:
    """Every choice of a cell but its seed, flat and as text: `schedule` → linear, `schedule.beta_1` → 0.0001."""
    flat: dict[str, str] = {}
    for axis, value in described(cell, places=True).items():
        if not isinstance(value, dict):
            flat[axis] = str(value)
            continue
        name = value.pop("name")
        if axis not in ("training", "evaluation"):
            flat[axis] = name
        flat |= {f"{axis}.{key}": _text(entry) for key, entry in value.items()}
    return flat


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
