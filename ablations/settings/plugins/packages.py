"""The offers of installed packages: classes for the axes, and files of choices, grids and studies beside their code.

    [project.entry-points.diffusion_ablations]
    "schedule.exponential" = "my_package.schedules:Exponential"     axis.name = the place of the class

Only the packages' metadata is read, and none of them is imported: so `--help` and errors about names come at once. An
offer that cannot be used is left out, with a line that says why (`complaints`); everything else goes on working.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import EntryPoint, distributions, entry_points
from importlib.util import find_spec
from pathlib import Path

from ablations.settings.cell import BASES

GROUP = "diffusion_ablations"
"""The group of entry points."""

CLOSED = ("training", "average", "conditioning", "guidance", "evaluation")
"""Axes that cannot be extended from outside."""
DOORS: dict[str, str] = {axis: base for axis, base in BASES.items() if axis not in CLOSED} | {
    "extractor": "ablations.metrics.extractors.architectures.Architecture",
    "metric": "ablations.metrics.metric.Metric",
}
"""Axes that a class from outside can extend, with the dotted name of the base class of each."""

SHIPPED = Path(__file__).parents[2] / "configs"
"""The files of choices, grids and studies that ship."""

REGISTERED: dict[tuple[str, str], type] = {}
"""(axis, name) → the class from outside that this process has registered or imported (`classes.py`)."""


@dataclass(frozen=True)
class Offer:
    """A class that a package offers under a name of an axis; `trouble` is the reason why it cannot be used, if there is
    one."""

    axis: str
    name: str
    point: EntryPoint
    package: str
    version: str
    trouble: str = ""

    @property
    def of_package(self) -> str:
        return f"the package {self.package} {self.version}"


@lru_cache(maxsize=1)
def offers() -> tuple[Offer, ...]:
    """Everything that installed packages offer, by axis and name."""
    points = sorted(entry_points(group=GROUP), key=lambda point: point.name)
    return tuple(_offer(point, [other for other in points if other.name == point.name]) for point in points)


def offered(axis: str, name: str) -> Offer | None:
    """The offer under a name, usable or not; None where there is none."""
    return next((offer for offer in offers() if (offer.axis, offer.name) == (axis, name)), None)


def unnamed(axis: str) -> dict[str, str]:
    """The names of classes from outside that have no file, with a line on each; none is imported for this."""
    lines = {offer.name: f"from {offer.of_package}" for offer in offers() if offer.axis == axis and not offer.trouble}
    own = {
        name: inspect.getdoc(cls) or "a class from outside" for (door, name), cls in REGISTERED.items() if door == axis
    }
    return lines | {name: text.splitlines()[0] for name, text in own.items()}


def complaints() -> list[str]:
    """A line for each offer that cannot be used, as far as that shows without importing it."""
    return list(dict.fromkeys(offer.trouble for offer in offers() if offer.trouble))


def config_folders() -> Iterator[Path]:
    """The folders `configs/` beside the code of packages that offer something."""
    tops = dict.fromkeys(offer.point.module.partition(".")[0] for offer in offers() if not offer.trouble)
    for top in tops:
        spec = find_spec(top)
        for place in (spec and spec.submodule_search_locations) or ():
            if (folder := Path(place) / "configs").is_dir():
                yield folder


def _offer(point: EntryPoint, same: list[EntryPoint]) -> Offer:
    axis, _, name = point.name.partition(".")
    offer = Offer(axis, name, point, *_made_by(point))
    return replace(offer, trouble=_trouble(offer, same))


def _made_by(point: EntryPoint) -> tuple[str, str]:
    """The package that an entry point belongs to, and its version."""
    if point.dist is None:
        return point.module.partition(".")[0], "(unknown version)"
    return point.dist.name, point.dist.version


def _trouble(offer: Offer, same: list[EntryPoint]) -> str:
    """The reason why an offer cannot be used, in one line; "" if none shows."""
    what = f"{offer.of_package} offers {offer.point.name}"
    if offer.axis not in DOORS:
        return f"{what}, and there is no such axis: an entry point is called axis.name, of {', '.join(DOORS)}"
    if (SHIPPED / offer.axis / f"{offer.name}.yaml").is_file():
        return f"{what}, a name that is taken by a choice that ships: its class needs another name"
    if len(same) > 1:
        others = " and ".join(sorted(" ".join(_made_by(point)) for point in same))
        return f"{offer.point.name} is offered more than once, by {others}: uninstall one of them"
    versions = {installed.version: str(installed.locate_file("")) for installed in distributions(name=offer.package)}
    if len(versions) > 1:
        places = " and ".join(f"{version} in {place}" for version, place in sorted(versions.items()))
        return f"the package {offer.package} is installed in two versions, {places}: uninstall one of them"
    return ""
