"""Fields of CSV files that no spreadsheet runs, and that are read back unchanged.

    =1+1  ─▶  '=1+1  ─▶  =1+1        '=1  ─▶  ''=1  ─▶  '=1        −1.5, and every other number, stays as it is

A spreadsheet takes a field with such a beginning for a formula, which may start programs and send the content of other
fields away. An apostrophe before it marks it as a text.
"""

from __future__ import annotations

import re

FORMULA = "=+\\-@\t\r＝＋－＠"
"""The characters at whose sight a spreadsheet takes a field for a formula."""
APOSTROPHE = b"'"
"""The mark that occurs in every file with a guarded field."""
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
