"""The core's refusals, a ValueError in one line that says what was given and what to take; and the names for that."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from traceback import extract_tb


def require(holds: bool, reason: str) -> None:
    """ValueError with this reason unless the condition holds."""
    refuse(None if holds else reason)


def refuse(reason: str | None) -> None:
    """ValueError with the reason, if there is one."""
    if reason is not None:
        raise ValueError(reason)


FOUNDATIONS = ("builtins", "abc", "torch")
"""The packages of base classes that are no axes: object, ABC, torch.nn.Module."""


def axis_of(cls: type) -> type:
    """The base class of the axis that a choice's class belongs to."""
    return next(base for base in reversed(cls.__mro__) if base.__module__.split(".")[0] not in FOUNDATIONS)


def choice_name(choice: object) -> str:
    """The name of a choice, or of its class, in texts and files: MinSnr() → min_snr, LearnedSchedule() → learned.

    It is the class's name in snake case, without the name of the axis's base class where it ends in that.
    """
    cls = choice if isinstance(choice, type) else type(choice)
    axis = axis_of(cls)
    return snake(cls.__name__ if cls is axis else cls.__name__.removesuffix(axis.__name__))


def snake(name: str) -> str:
    """The name of a class in snake case: MinSnr → min_snr."""
    return re.sub("(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def line_in(error: BaseException, cls: type) -> str:
    """The last line of a class's file that an error came through, as in "; mine.py, line 35"; "" where it came through
    none."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    frames = [frame for frame in extract_tb(error.__traceback__) if frame.filename == file]
    return f"; {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
