"""Fields of CSV files that no spreadsheet runs, and that come back as they were.

    =1+1  ─▶  '=1+1  ─▶  =1+1        '=1  ─▶  ''=1  ─▶  '=1        −1.5, and every other number, stays as it is

A spreadsheet takes a field that begins so for a formula, which may start programs and send what is in other fields
away. An apostrophe before it says that it is a text.
"""

from __future__ import annotations

import re

FORMULA = "=+\\-@\t\r＝＋－＠"
"""The beginnings of a field that is taken for a formula."""
APOSTROPHE = b"'"
"""The mark in every file of which a field is guarded."""
_RUN = re.compile(f"'*[{FORMULA}]")


def guarded(text: str) -> str:
    """A field as it is written."""
    return f"'{text}" if _RUN.match(text) and not is_number(text) else text


def read_back(text: str) -> str:
    """A field as it was before it was guarded."""
    return text[1:] if text.startswith("'") and _RUN.match(text) else text


def is_number(text: str) -> bool:
    """True where a text is a number, as Python and spreadsheets read it."""
    try:
        float(text)
    except ValueError:
        return False
    return True
