"""Numbers and symbols as papers write them, for LaTeX and for matplotlib's mathtext.

Labels are plain Unicode (μ̃, x₀, Σ, ‖·‖², L_T). Runs of symbols become one formula, $\\tilde{\\mu}$; the rest is text.
Numbers have three significant digits, or four if an interval is finer than that. Very large or small ones are written
as a number below 10 times a power of ten.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

_NAMES = {
    "αβγδεζηθικλμ": "alpha beta gamma delta varepsilon zeta eta theta iota kappa lambda mu",
    "νξπρστυφχψω": "nu xi pi rho sigma tau upsilon varphi chi psi omega",
    "ΓΔΘΛΞΠΣΥΦΨΩ": "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega",
    "µϕϵℓ∂∇√∈∑": "mu phi epsilon ell partial nabla surd in sum",
    "±×·∞∼≤≥≠≈‖⟨⟩": "pm times cdot infty sim leq geq neq approx Vert langle rangle",
    "→←↑↓": "rightarrow leftarrow uparrow downarrow",
}
SYMBOLS = {"−": "-"} | {
    char: f"\\{name}" for chars, names in _NAMES.items() for char, name in zip(chars, names.split(), strict=True)
}
_ACCENTS = {"\u0303": "tilde", "\u0302": "hat", "\u0304": "bar", "\u0305": "bar", "\u0307": "dot"}
_SUBSCRIPTS = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋ₜₛₙₖᵢ", "0123456789+-tsnki", strict=True))
_SUPERSCRIPTS = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ᵀ", "0123456789+-T", strict=True))
_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_GREEK = "alpha α, beta β, gamma γ, epsilon ε, eta η, theta θ, lambda λ, mu μ, sigma σ"
_SPELT = dict(pair.split() for pair in _GREEK.split(", "))
_WORD = re.compile(rf"(?<![A-Za-z_.])({'|'.join(_SPELT)})(?![A-Za-z=])")
_DIGIT = re.compile(r"(?<![A-Za-z_])([A-Za-zα-ω])_(\d)(?!\w)")
_TERM = re.compile(r"(?<!\w)L_(\{[^{}\\$%&#^_~\n]*\}|[A-Za-z0-9]+)(?!\w)")
"""A term of the bound, or a loss."""
_INDEXED = re.compile(r"(?<!\w)([α-ω]_[A-Za-z0-9])(?!\w)")
"""A Greek letter with an index. It is set as a formula in figures only, so that committed tables keep their bytes."""
_ESCAPES = (
    {char: f"\\{char}" for char in "&%$#_{}"}
    | {
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\\": r"\textbackslash{}",
        "…": r"\ldots{}",
        "\u00a0": "~",
        "\u202f": r"\,",
    }
    | dict(zip('<>|"–—“”‘’', ("$<$", "$>$", "$|$", "''", "--", "---", "``", "''", "`", "'"), strict=True))
)


def _tokens(text: str) -> list[tuple[bool, str]]:
    """Each character with its accents and scripts, as (is formula, TeX or text)."""
    tokens: list[tuple[bool, str]] = []
    for char, marks in re.findall(r"(.)([\u0300-\u036f]*)", unicodedata.normalize("NFC", text), re.DOTALL):
        apart = unicodedata.normalize("NFD", char + marks)
        base, accents = apart[0], apart[1:]
        if char in SYMBOLS and not marks:
            tokens.append((True, SYMBOLS[char]))
        elif accents and _bears(base, marks) and all(accent in _ACCENTS for accent in accents):
            inner = SYMBOLS.get(base, base)
            for accent in accents:
                inner = f"\\{_ACCENTS[accent]}{{{inner}}}"
            tokens.append((True, inner))
        elif char in _SUBSCRIPTS or char in _SUPERSCRIPTS:
            sign, script = ("_", _SUBSCRIPTS[char]) if char in _SUBSCRIPTS else ("^", _SUPERSCRIPTS[char])
            _add_script(tokens, sign, script)
        else:
            tokens.append((False, char + marks))
    return tokens


def _bears(base: str, marks: str) -> bool:
    """True where a character may bear accents in a formula: letters and symbols, but none with a meaning in TeX."""
    return base in SYMBOLS or (bool(marks) and base.isalnum())


def _add_script(tokens: list[tuple[bool, str]], sign: str, script: str) -> None:
    """Continue a script of the same kind; take a lone letter before it into the formula (x₀, but not log₂)."""
    if tokens and tokens[-1][0] and tokens[-1][1].startswith(sign + "{"):
        tokens[-1] = (True, tokens[-1][1][:-1] + script + "}")
        return
    if tokens and not tokens[-1][0] and tokens[-1][1].isalpha() and not (len(tokens) > 1 and tokens[-2][1].isalpha()):
        tokens[-1] = (True, tokens[-1][1])
    tokens.append((True, f"{sign}{{{script}}}"))


def _typeset(text: str, plain: Callable[[str], str]) -> str:
    parts = []
    for i, piece in enumerate(_TERM.split(text)):
        parts.append(_term(piece.strip("{}")) if i % 2 else _plain_and_formulas(piece, plain))
    return "".join(parts)


def _term(script: str) -> str:
    """A term of the bound or a loss: L_T and L_{T−1} in italics, the words of L_simple upright."""
    inner = "".join(SYMBOLS.get(char, char) for char in script)
    return f"$L_{{{inner}}}$" if len(script) == 1 or not script.isalpha() else f"$L_{{\\mathrm{{{inner}}}}}$"


def _plain_and_formulas(text: str, plain: Callable[[str], str]) -> str:
    parts = []
    for formula, group in groupby(_tokens(text), key=lambda token: token[0]):
        pieces = [piece for _, piece in group]
        parts.append(f"${' '.join(pieces)}$" if formula else plain("".join(pieces)))
    return "".join(parts)


def latex(text: str) -> str:
    """Text for pdflatex: special characters escaped, symbols as formulas, `code` in typewriter."""
    typeset = [_typeset(piece, _escape) for piece in around_code(text)]
    return "".join(rf"\texttt{{{piece}}}" if i % 2 else piece for i, piece in enumerate(typeset))


def around_code(text: str) -> list[str]:
    """The pieces of a text, every second of them `code`; a backtick without another one is itself."""
    pieces = text.split("`")
    return pieces if len(pieces) % 2 else [*pieces[:-2], "`".join(pieces[-2:])]


def _escape(text: str) -> str:
    return "".join(_ESCAPES.get(char, char if _is_set(char) else f"[U+{ord(char):04X}]") for char in text)


def _is_set(char: str) -> bool:
    """True where pdflatex sets a character as it is."""
    return char in "\n\t" or (ord(char) < 0x180 and char.isprintable())


def mathtext(text: str) -> str:
    """Text for matplotlib, whose fonts set accents over Greek letters well only in formulas."""
    return "".join(_indexed(piece) if i % 2 else _figure_text(piece) for i, piece in enumerate(_INDEXED.split(text)))


def _indexed(piece: str) -> str:
    return f"${SYMBOLS.get(piece[0], piece[0])}_{{{piece[2:]}}}$"


def _figure_text(piece: str) -> str:
    # Only TeX knows a root's sign by itself.
    return _typeset(piece, lambda plain: plain.replace("$", r"\$")).replace(SYMBOLS["√"], "√")


def in_symbols(text: str) -> str:
    """A text with Greek letters and indices as symbols, except in `code`: mu, epsilon or x_0 becomes μ, ε or x₀."""
    return "`".join(piece if i % 2 else _in_symbols(piece) for i, piece in enumerate(text.split("`")))


def _in_symbols(text: str) -> str:
    greek = _WORD.sub(lambda found: _SPELT[found[1]], text)
    lowered = {digit: index for index, digit in _SUBSCRIPTS.items()}
    return _DIGIT.sub(lambda found: found[1] + lowered[found[2]], greek)


def width(text: str) -> int:
    """The columns that a text takes on a terminal."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def power_of_ten(exponent: int) -> str:
    """A power of ten as text, 10¹²."""
    return f"10{str(exponent).translate(_RAISED)}"


@dataclass(frozen=True)
class Rounding:
    """The rounding of a column's numbers: to at most `decimals` decimals and `digits` significant digits.

    A number that is `counted`, and not estimated, has no interval if all seeds agree.
    """

    decimals: int | None = None
    digits: int = 3
    counted: bool = False

    @staticmethod
    def of(decimals: int | None, half_widths: list[float]) -> Rounding:
        """The rounding of a column with these half-widths, with one decimal more if the typical one would read 0."""
        finite = sorted(half for half in half_widths if not math.isnan(half))
        if decimals is not None and finite and finite[len(finite) // 2] < 0.5 * 10.0**-decimals:
            return Rounding(decimals + 1, 4)
        return Rounding(decimals)

    def places(self, value: float) -> int:
        """The number of decimals that a value of this size has."""
        if value == 0 and self.decimals is not None:
            return self.decimals
        size = math.floor(math.log10(abs(value))) if value and math.isfinite(value) else 0
        by_size = max(0, self.digits - 1 - size)
        return by_size if self.decimals is None else min(self.decimals, by_size)

    def number(self, value: float) -> str:
        """The value alone, as text; "–" where there is none."""
        if math.isnan(value):
            return "–"
        if math.isinf(value):
            return "∞" if value > 0 else "−∞"
        exponent = self._exponent(value)
        if exponent:
            return f"{self._scaled(value, exponent)}·{power_of_ten(exponent)}"
        return f"{value:z.{self.places(value)}f}".replace("-", "−")

    def measured(self, mean: float, half_width: float) -> str:
        """The mean ± half-width as text, to the mean's last place; the mean alone where no interval is known."""
        if not math.isfinite(mean) or math.isnan(half_width) or (self.counted and half_width <= _AGREE * abs(mean)):
            return self.number(mean)
        exponent = self._exponent(mean)
        if exponent:
            text, half = self._scaled(mean, exponent), half_width / 10.0**exponent
            return f"({text} ± {_half(half, self.digits - 1)})·{power_of_ten(exponent)}"
        return f"{self.number(mean)} ± {_half(half_width, self.places(mean))}"

    def _exponent(self, value: float) -> int:
        """The power of ten that a value is written with; 0 for none."""
        large, small = abs(value) >= 1e6, self.decimals is None and 0 < abs(value) < 1e-4
        return int(f"{value:.{self.digits - 1}e}".split("e")[1]) if large or small else 0

    def _scaled(self, value: float, exponent: int) -> str:
        return f"{value / 10.0**exponent:.{self.digits - 1}f}".replace("-", "−")


_AGREE = 1e-9
"""The share of a mean below which a half-width comes from rounding only."""


def _half(half_width: float, places: int) -> str:
    """A half-width as text, with this number of decimals; never 0."""
    least = 10.0**-places
    return f"<{least:.{places}f}" if 0 <= half_width < 0.5 * least else f"{half_width:.{places}f}"


def listed(names: Sequence[str], word: str = "and", between: str = ", ") -> str:
    """The names as "a, b and c"."""
    return f"{between.join(names[:-1])} {word} {names[-1]}" if len(names) > 1 else "".join(names)


def listed_names(names: Sequence[str], word: str) -> str:
    """The names as "a, b or c"; as "a, 1; b, 2 or c" if a name has a comma of its own."""
    return listed(names, word, _between(names))


def some(names: Sequence[str], most: int = 40) -> str:
    """The names as "a, b, c", or "a, 1; b, 2; c" if a name has a comma; beyond `most` names, their number."""
    between = _between(names)
    more = f"{between}and {len(names) - most} more" if len(names) > most else ""
    return between.join(names[:most]) + more


def _between(names: Sequence[str]) -> str:
    return "; " if any("," in name for name in names) else ", "


_BARE = re.compile(r"[-+−]?\d+(\.\d+)?(e[-+]?\d+)?|∞|true|false|auto")
"""A label that says nothing without its axis."""


def cell_name(levels: Iterable[tuple[str, str]]) -> str:
    """The name of a cell wherever it is called by one, from the labels of its axes and levels: β̃ · Steps = 5."""
    names = (f"{axis} = {level}" if _BARE.fullmatch(level) else level for axis, level in levels)
    return " · ".join(names) or "the baseline"


def within(text: str) -> str:
    """A label within a sentence, with its first letter small; an abbreviation or a symbol stays: NLL, T."""
    return f"{text[:1].lower()}{text[1:]}" if text[1:2].islower() else text


def counted(n: int, what: str) -> str:
    """A number with its noun, such as "1 seed" or "3 seeds"."""
    return f"{n} {what}" + ("" if n == 1 else "s")


def begun(text: str) -> str:
    """The text as the beginning of a sentence, with its first letter large. A symbol stays: μ̃ does not become M̃."""
    return f"{text[:1].upper()}{text[1:]}" if text[:1].isascii() else text


def two_digits(value: float) -> str:
    """A value by two significant digits."""
    return Rounding(digits=2).number(float(f"{value:.2g}"))


def percent(share: float) -> str:
    """A share in whole percent; never 0 for a share above 0."""
    return "less than 1 %" if 0 < share < 0.01 else f"{100 * share:.0f} %"


def duration(seconds: float) -> str:
    """A duration as text, in seconds, minutes or hours by its size."""
    minutes = seconds / 60
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.1f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def probability(p: float) -> str:
    """A p in words, "= 0.02", by two digits; never 0."""
    return "< 0.001" if p < 0.001 else f"= {p:.2g}" if p < 0.1 else f"= {p:.2f}"
