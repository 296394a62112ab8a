"""Messages from the driver to a worker on another machine, and the checks of the worker before it runs a stage.

A node must have the driver's code, and must take the same precision for `training.precision=auto`: otherwise its
numbers would belong to other cells. Where one of these fails, an InputError says which, and on what node. A node that
sees the driver's journal works there; another is sent what a stage reads, and sends back what it leaves
(`engine.parcels`).
"""

from __future__ import annotations

import os
import pickle
import platform
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from multiprocessing import spawn
from pathlib import Path
from typing import Any

import torch

from ablations.engine.journal import Journal
from ablations.engine.parcels import Changes, Parcel, performed
from ablations.engine.perform import perform
from ablations.engine.version import source_digest
from ablations.settings.plugins import classes as plugins
from ablations.stages.devices import devices_of
from ablations.stages.stage import Stage
from analysis.errors import InputError
from diffusion_core.precision import Precision, resolve_precision

TOKEN = ".seen-by-"
"""The beginning of the name of the file by which a node recognises a journal; the day when it was made follows."""
LONGEST = timedelta(days=400)
"""The longest time that a command may run."""
UNSEEN = "unseen"
"""The status of a stage on a node that does not see the journal and was sent no parcel."""
MAIN = ("init_main_from_name", "init_main_from_path")
"""Keys by which a worker imports the driver's program, because classes may be registered in it."""


@dataclass(frozen=True)
class DriverState:
    """The driver as its workers must know it: its working folder, its program, the registered classes, its code."""

    folder: str
    program: tuple[tuple[str, str], ...]
    modules: tuple[str, ...]
    code: str

    @staticmethod
    def here() -> DriverState:
        """This process, described as `multiprocessing` describes a parent to its child."""
        preparation = spawn.get_preparation_data("worker")
        program = tuple((key, preparation[key]) for key in MAIN if key in preparation)
        return DriverState(os.getcwd(), program, tuple(plugins.modules()), _code())


@dataclass(frozen=True)
class Place:
    """A journal's address, a file in it by which a node knows it, and what `training.precision=auto` means there."""

    journal: str
    token: str
    auto: Precision

    @property
    def is_seen(self) -> bool:
        """True where the journal can be read from here."""
        return (Path(self.journal) / self.token).exists()


def new_token(journal: str) -> str:
    """The name of a new file in a journal, which no copy of the journal on a node's own disk has. Files of killed
    commands are deleted once no command can have run that long."""
    shelf, today = Journal(Path(journal)).shelf(), date.today()
    token = f"{TOKEN}{today.isoformat()}-{uuid.uuid4().hex}"
    for left in shelf.names(TOKEN):
        if left[len(TOKEN) :] < (today - LONGEST).isoformat():
            shelf.remove(left)
    shelf.make(token, "")
    return token


def take_away(place: Place) -> None:
    """Take a journal's token away."""
    Journal(Path(place.journal)).discard("", place.token)


@cache
def _code() -> str:
    """The code that makes the numbers: the source digest, and torch's version."""
    return f"{source_digest()} with torch {torch.__version__}"


def perform_pickled(
    driver: DriverState, place: Place, pickled: bytes, parcel: Parcel | None, device: str
) -> Iterator[Changes]:
    """In a worker: perform a stage, in the driver's journal if it can be read from here, else with a parcel.

    Yields what the stage has left, where that is not in the journal; at last its status, `UNSEEN` where it would need a
    parcel. InputError where this node is not as the driver believes.
    """
    _prepare(driver)
    # Of the driver alone: Ray carries it, and its token keeps others out.
    stage: Stage = pickle.loads(pickled)
    if stage.cell.training.precision == "auto":
        here = resolve_precision("auto", torch.device(devices_of(device)[0]))
        if here != place.auto:
            raise InputError(
                f"training.precision=auto means {here} on the node {platform.node()} and {place.auto} to the command: "
                "take training.precision=float32, or nodes of one kind"
            )
    if place.is_seen:
        yield Changes(status=perform(stage, Journal(Path(place.journal)), device))
    elif parcel is None:
        yield Changes(status=UNSEEN)
    else:
        yield from performed(stage, parcel, device)


def call_pickled(driver: DriverState, pickled: bytes) -> Any:
    """In a worker: call a function of the driver, and return its value."""
    _prepare(driver)
    function, values = pickle.loads(pickled)
    return function(*values)


@cache
def _prepare(driver: DriverState) -> None:
    """In a new worker: go to the driver's folder, and import what it has registered."""
    if driver.code != _code():
        raise InputError(
            f"the node {platform.node()} has other code ({_code()}) than the command ({driver.code}): install the same "
            "on every node"
        )
    folder = {"dir": driver.folder} if Path(driver.folder).is_dir() else {}
    spawn.prepare({**folder, **dict(driver.program)})
    plugins.import_modules(list(driver.modules))
