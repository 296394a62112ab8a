"""Which folders hold results."""

from __future__ import annotations

from pathlib import Path

from analysis.read.names import SEARCH


def folders_in(results: Path) -> list[Path]:
    """The folders below one that hold a grid's or a search's results; hidden ones are left out."""
    heads = [path for name in ("grid.json", SEARCH) for path in results.rglob(name)]
    inner = [path.relative_to(results).parts[:-1] for path in heads]
    return sorted({results.joinpath(*parts) for parts in inner if parts and not any(one[0] == "." for one in parts)})
