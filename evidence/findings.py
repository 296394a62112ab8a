"""The findings of the committed grids, in words. It rebuilds `docs/findings.md`, and README's own findings:

python -m evidence.findings > docs/findings.md
python -m evidence.findings readme              # what stands in README under "What it found so far"

`findings.md.jinja` has the sentences; each number in them is read from a grid's answers, and each direction is
asserted as it is read (`committed_grid.py`). A digit of ours that is typed by hand has no place there: a test looks
for such.
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from evidence.claims import fates_of, folders
from evidence.committed_grid import CommittedGrid, check

PAGE, README = "findings.md.jinja", "readme.md.jinja"
WIDTH = 138
KEPT = ("|", "```", "!", "#", "<")
"""The starts of blocks whose lines stay as they are."""


def document(template: str = PAGE) -> str:
    """A template's text, its lines filled."""
    return "\n\n".join(wrapped(block) for block in blocks(rendered(template))) + "\n"


def rendered(template: str) -> str:
    """A template with all numbers in it."""
    folder = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=folder, undefined=StrictUndefined, autoescape=False, trim_blocks=True)
    fates = fates_of(folders())
    return environment.get_template(template).render(grid=CommittedGrid, check=check, fates=fates, NLL="nll", FID="fid")


def blocks(text: str) -> Iterator[str]:
    """The blocks of a page between empty lines or before a heading; one of code is a block, whatever is in it."""
    for part in re.split(r"(```.*?```)", text, flags=re.DOTALL):
        each = [part] if part.startswith("```") else re.split(r"\n\s*\n|\n(?=#)", part)
        yield from (block.strip() for block in each if block.strip())


def wrapped(block: str) -> str:
    """A block with its lines filled; each point of a list by itself."""
    if block.startswith(KEPT):
        return block
    points = re.split(r"\n(?=- )", block)
    return "\n".join(
        textwrap.fill(
            " ".join(point.split()),
            WIDTH,
            subsequent_indent="  " if point.startswith("- ") else "",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for point in points
    )


if __name__ == "__main__":
    print(document(README if sys.argv[1:] == ["readme"] else PAGE), end="")
