"""A limit on the text above a table: the main findings, in few sentences."""

from __future__ import annotations

import re
from collections.abc import Sequence

MOST = 7
"""The most sentences above a table."""
_END = re.compile(r"[.?!][”’)]?(?=\s|$)")


def sentences_in(*texts: str) -> int:
    """The number of sentences of these texts."""
    return sum(len(_END.findall(text)) for text in texts)


def up_to(most: int, texts: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The first of these texts, with at most `most` sentences together, and the remaining texts."""
    n = next((i for i in range(len(texts)) if sentences_in(*texts[: i + 1]) > most), len(texts))
    return tuple(texts[:n]), tuple(texts[n:])
