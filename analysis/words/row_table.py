"""A small table in words, a line per row of a grid."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RowTable:
    """The answer in a metric as a small table, a line per row of the grid; the first column names the row."""

    caption: str
    head: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]

    @property
    def sentences(self) -> list[str]:
        """The same for where there are no tables: a caption, then a line each."""
        heads = ("", *(f"{head.lower()}: " for head in self.head[2:]))
        return [
            self.caption,
            *(
                f"{self.head[0]} {row}: "
                + "; ".join(f"{head}{text}" for head, text in zip(heads, texts, strict=True) if text)
                for row, *texts in self.lines
            ),
        ]
