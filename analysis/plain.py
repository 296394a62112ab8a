"""Text that may come from anywhere as a terminal shows it: every character is seen, and none does anything.

    ESC [ 2 J  ─▶  \\x1b[2J        U+202E (right-to-left override)  ─▶  \\u202e

A terminal obeys control characters: they clear it, name its window, write into its clipboard; and what turns the
direction of writing, or takes no room, makes a line read as another one.
"""

from __future__ import annotations

import unicodedata

KEPT = "\n\t"
"""What is no printed character and yet harmless."""
UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""The categories of Unicode of what is not seen: controls, formats with all that turns a text's direction, halves of
pairs, and separators of lines."""


def plain(text: str) -> str:
    """The text with everything that is not seen written out; lines and tabs stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_written(one) if one not in KEPT and unicodedata.category(one) in UNSEEN else one for one in text)


def line(text: str) -> str:
    """The same in one line."""
    return plain(" ".join(text.split()))


def _written(character: str) -> str:
    """A character as Python writes it."""
    number = ord(character)
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
