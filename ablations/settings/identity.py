"""The identity of a cell: a hash of its choices with all defaults, of its data's digest and of its precision.

Equal cells are one cell whatever text they came from. `cell_id` leaves the seed out: seeds are repetitions of one cell.
A file enters by its content, never by its place.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from ablations.settings.cell import AT_ONCE, AXES, PLAIN, Cell, default_name
from ablations.settings.registry import describe
from analysis.schema import NUMERICS

if TYPE_CHECKING:
    from diffusion_core.precision import Precision


def described(cell: Cell, *, places: bool = False) -> dict[str, Any]:
    """Every choice of a cell but its seed, as plain values; with `places`, also the places of their files."""
    choices = {axis: describe(getattr(cell, axis), places=places) for axis in AXES}
    return choices | {item.name: getattr(cell, item.name) for item in fields(cell) if item.name in PLAIN}


def read_by_id(cell: Cell) -> dict[str, Any]:
    """The part of `described` that identities read."""
    unsaid = {axis: {"name": default_name(axis)} for axis in Cell.younger}
    read = {key: value for key, value in described(cell).items() if value != unsaid.get(key)}
    # Such cells were rounded otherwise before: NUMERICS of theirs alone.
    return read | ({"convolutions": "torch"} if cell.threads > 1 else {})


def average_read(cell: Cell) -> dict[str, Any]:
    """The part of an identity for the average of the weights that is evaluated; empty for the default."""
    return {axis: choice for axis, choice in read_by_id(cell).items() if axis == "average"}


def labels_read(cell: Cell) -> dict[str, str]:
    """The part of an identity for the labels that a cell's network is told; empty where it is told none."""
    return {"labels": cell.data.described().labels_digest} if cell.told_labels else {}


def cell_id(cell: Cell, digest: str, precision: Precision, extractor: str | None = None) -> str:
    """12 hex digits that name a cell on data with this digest, whatever its seed. `extractor` is the identity of the
    features; it counts where the cell brings their weights."""
    content: dict[str, Any] = {"cell": read_by_id(cell), **labels_read(cell), "digest": digest, "precision": precision}
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
        if axis not in AT_ONCE:
            flat[axis] = name
        flat |= {f"{axis}.{key}": _text(entry) for key, entry in value.items()}
    return flat


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
