"""The folders with files of choices, grids and studies: those that ship, those of packages, and the user's own.

    configs=DIR    the user's own folder; by default `configs/` where the command is run, if there is one

A folder has the same shape as the one that ships: `<axis>/<name>.yaml`, `grid/<name>.yaml`, `study/<name>.yaml`. What a
search finds or a training learns goes to `schedule/saved/` of the user's own. Nothing is ever written into an installed
package.
"""

from __future__ import annotations

from pathlib import Path

from ablations.settings.plugins.packages import SHIPPED, config_folders
from analysis.errors import InputError

DEFAULT = "configs"


class _Own:
    """The user's own folder in this process; None for the default."""

    folder: Path | None = None


def use(folder: str | None) -> None:
    """Use a folder as the user's own from now on, None for the default; InputError where it does not exist."""
    if folder is not None and not Path(folder).is_dir():
        raise InputError(f"configs={folder} is no folder: give one with files such as grid/NAME.yaml")
    _Own.folder = None if folder is None else Path(folder)


def own() -> Path:
    """The user's own folder; it may not exist."""
    return _Own.folder or Path(DEFAULT)


def files(group: str) -> dict[str, list[Path]]:
    """The choices of a group with their files: one file, or several where a name is given twice. A file in a subfolder
    is named with it, saved/mine."""
    paths: dict[str, list[Path]] = {}
    for place in _places():
        folder = place / group
        for path in folder.rglob("*.yaml"):
            paths.setdefault(path.relative_to(folder).with_suffix("").as_posix(), []).append(path)
    return {name: paths[name] for name in sorted(paths, key=lambda name: ("/" in name, name))}


def choice_file(group: str, name: str) -> str:
    """The file of a choice for messages: its path within the folder that ships, or else its whole path."""
    paths = files(group).get(name, [])
    shipped = not paths or paths[0].is_relative_to(SHIPPED)
    return f"configs/{group}/{name}.yaml" if shipped else str(paths[0])


def _places() -> list[Path]:
    places = [SHIPPED, *config_folders(), *([own()] if own().is_dir() else [])]
    return list({place.resolve(): place for place in places}.values())
