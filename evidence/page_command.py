"""The command of a page that measurements, simulations or files make: it is printed, and written where asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis import shell
from analysis.errors import InputError
from analysis.shell import Option


def page_command(
    name: str, purpose: str, given: Mapping[str, Option], page: Callable[[dict[str, Any]], str]
) -> Callable[[list[str]], int]:
    """The command of this name whose page is made of what is `given`; whole numbers must be at least 1."""

    def write(values: dict[str, Any]) -> None:
        for key, option in given.items():
            if option.kind is int and values[key] < 1:
                raise InputError(f"{key} must be at least 1, got {values[key]}")
        print(text := page(values))
        if values["out"]:
            Path(values["out"]).write_text(text + "\n", encoding="utf-8")

    every = {**given, "out": Option("a file to write it to as well")}
    return lambda arguments: shell.run(name, purpose, every, write, arguments)


def table(head: Sequence[str], rows: Iterable[Iterable[object]]) -> list[str]:
    """The lines of a table in Markdown."""
    first, *others = (f"| {' | '.join(map(str, cells))} |" for cells in (head, *rows))
    return [first, "|---" * len(head) + "|", *others]
