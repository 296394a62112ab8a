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
_BELOW, _ABOVE = "₀₁₂₃₄₅₆₇₈₉₊₋ₜₛₙₖᵢ", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ᵀ"
_LOWERED = str.maketrans(_BELOW + _ABOVE, "0123456789+-tsnki0123456789+-T")
_TOKEN = re.compile(rf"(?P<below>[{_BELOW}]+)|(?P<above>[{_ABOVE}]+)|.(?P<marks>[\u0300-\u036f]*)", re.DOTALL)
_LONE = re.compile(rf"(?<![^\W\d_{_BELOW}{_ABOVE}{''.join(SYMBOLS)}])[^\W\d_](?=[{_BELOW}{_ABOVE}])")
"""A single letter before a script: that of x₀, but not the g of log₂."""
_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
_GREEK = "alpha α, beta β, gamma γ, epsilon ε, eta η, theta θ, lambda λ, mu μ, sigma σ"
_SPELT = dict(pair.split() for pair in _GREEK.split(", "))
_WORD = re.compile(rf"(?<![A-Za-z_.])({'|'.join(_SPELT)})(?![A-Za-z=])")
_DIGIT = re.compile(r"(?<![A-Za-z_])([A-Za-zα-ω])_(\d)(?!\w)")
_TERM = re.compile(r"(?<!\w)L_(\{[^{}\\$%&#^_~\n]*\}|[A-Za-z0-9]+)(?!\w)")
"""A term of the bound, or a loss."""
_INDEXED = re.compile(r"(?<!\w)([α-ω]_[A-Za-z0-9])(?!\w)")
"""A Greek letter with an index."""
_ESCAPED = r"\textasciitilde{} \textasciicircum{} \textbackslash{} \ldots{} ~ \, $<$ $>$ $|$ '' -- --- `` '' ` '"
_ESCAPES = {ord(char): f"\\{char}" for char in "&%$#_{}"} | dict(
    zip(map(ord, '~^\\…\u00a0\u202f<>|"–—“”‘’'), _ESCAPED.split(), strict=True)
)


def _formula(token: re.Match[str]) -> str | None:
    """A token as TeX; None for one of plain text."""
    if token["below"] or token["above"]:
        return f"{'_' if token['below'] else '^'}{{{token[0].translate(_LOWERED)}}}"
    if token[0] in SYMBOLS:
        return SYMBOLS[token[0]]
    apart = unicodedata.normalize("NFD", token[0])
    # A letter such as ñ or ά belongs to a word.
    bears = apart[0] in SYMBOLS or (token["marks"] and apart[0].isalnum())
    if len(apart) == 1 or not bears or not set(apart[1:]) <= _ACCENTS.keys():
        return token[0] if _LONE.match(token.string, token.start()) else None
    tex = SYMBOLS.get(apart[0], apart[0])
    for accent in apart[1:]:
        tex = f"\\{_ACCENTS[accent]}{{{tex}}}"
    return tex


def _typeset(text: str, plain: Callable[[str], str]) -> str:
    """The text with its formulas in TeX and the rest made `plain`."""
    parts = []
    for i, piece in enumerate(_TERM.split(text)):
        if i % 2:
            # A term of the bound or a loss: L_T and L_{T−1} in italics, the words of L_simple upright.
            inner = "".join(SYMBOLS.get(char, char) for char in piece.strip("{}"))
            inner = f"\\mathrm{{{inner}}}" if len(inner) > 1 and inner.isalpha() else inner
            parts.append(f"$L_{{{inner}}}$")
            continue
        tokens = [(_formula(token), token[0]) for token in _TOKEN.finditer(unicodedata.normalize("NFC", piece))]
        for formula, group in groupby(tokens, key=lambda token: token[0] is not None):
            shown = [tex or text for tex, text in group]
            parts.append(f"${' '.join(shown)}$" if formula else plain("".join(shown)))
    return "".join(parts)


def latex(text: str) -> str:
    """Text for pdflatex: special characters escaped, symbols as formulas, `code` in typewriter."""
    typeset = [_typeset(piece, lambda plain: plain.translate(_ESCAPES)) for piece in around_code(text)]
    return "".join(rf"\texttt{{{piece}}}" if i % 2 else piece for i, piece in enumerate(typeset))


def around_code(text: str) -> list[str]:
    """The pieces of a text, every second of them `code`; a backtick without another one is itself."""
    pieces = text.split("`")
    return pieces if len(pieces) % 2 else [*pieces[:-2], "`".join(pieces[-2:])]


def mathtext(text: str) -> str:
    """Text for matplotlib, whose fonts set accents over Greek letters well only in formulas."""
    parts = _INDEXED.split(text)
    parts[1::2] = [f"${SYMBOLS.get(part[0], part[0])}_{{{part[2:]}}}$" for part in parts[1::2]]
    parts[::2] = [_typeset(part, lambda plain: plain.replace("$", r"\$")) for part in parts[::2]]
    # Only TeX knows a root's sign by itself.
    return "".join(parts).replace(SYMBOLS["√"], "√")


def in_symbols(text: str) -> str:
    """A text with Greek letters and indices as symbols, except in `code`: mu, epsilon or x_0 becomes μ, ε or x₀."""
    pieces = text.split("`")
    greek = [_WORD.sub(lambda match: _SPELT[match[1]], piece) for piece in pieces[::2]]
    pieces[::2] = [_DIGIT.sub(lambda match: match[1] + "₀₁₂₃₄₅₆₇₈₉"[int(match[2])], piece) for piece in greek]
    return "`".join(pieces)


_CODE = re.compile(r"(?<!`)(`[^`]+`)(?!`)")
"""A text between single backticks, which Markdown takes for code."""
_MARKUP = re.compile(r"([\\`|*<\[\]$~]|\b_|_\b|&(?=#?\w+;))")
"""The characters that Markdown, as GitHub reads it, takes for more than a letter, also in formulas and entities."""


def in_markdown(text: str) -> str:
    """Text in one line, escaped for Markdown except for its `code`."""
    pieces = _CODE.split(re.sub(r"\s*\n\s*", " ", text))
    escaped = "".join(piece if i % 2 else _MARKUP.sub(r"\\\1", piece) for i, piece in enumerate(pieces))
    return re.sub(r"^(\s*)([#>]|[+-](?= ))", r"\1\\\2", escaped)


def width(text: str) -> int:
    """The columns that a text takes on a terminal."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def power_of_ten(exponent: int) -> str:
    """A power of ten as text, 10¹²."""
    return f"10{str(exponent).translate(_RAISED)}"


_AGREE = 1e-9
"""The share of a mean below which a half-width comes from rounding only."""


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
        return self.measured(value, math.nan)

    def measured(self, mean: float, half_width: float) -> str:
        """The mean ± half-width as text, to the mean's last place; the mean alone where no interval is known."""
        if not math.isfinite(mean):
            return "–" if math.isnan(mean) else "∞" if mean > 0 else "−∞"
        large, small = abs(mean) >= 1e6, self.decimals is None and 0 < abs(mean) < 1e-4
        exponent = int(f"{mean:.{self.digits - 1}e}".split("e")[1]) if large or small else 0
        places, unit = self.digits - 1 if exponent else self.places(mean), 10.0**exponent
        text, power = f"{mean / unit:z.{places}f}".replace("-", "−"), f"·{power_of_ten(exponent)}" if exponent else ""
        if math.isnan(half_width) or (self.counted and half_width <= _AGREE * abs(mean)):
            return f"{text}{power}"
        text = f"{text} ± {_half(half_width / unit, places)}"
        return f"({text}){power}" if exponent else text


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


def mid_sentence(text: str) -> str:
    """A label within a sentence, with its first letter small; an abbreviation or a symbol stays: NLL, T."""
    return f"{text[:1].lower()}{text[1:]}" if text[1:2].islower() else text


def counted(n: int, what: str) -> str:
    """A number with its noun, such as "1 seed" or "3 seeds"."""
    return f"{n} {what}" + ("" if n == 1 else "s")


def sentence_start(text: str) -> str:
    """The text as the beginning of a sentence, with its first letter large. A symbol stays: μ̃ does not become M̃."""
    return f"{text[:1].upper()}{text[1:]}" if text[:1].isascii() else text


def two_digits(value: float) -> str:
    """A value by two significant digits."""
    return Rounding(digits=2).number(float(f"{value:.2g}"))


def duration(seconds: float) -> str:
    """A duration as text, in seconds, minutes or hours by its size."""
    minutes = seconds / 60
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.1f} min" if minutes < 120 else f"{minutes / 60:.1f} h"


def probability(p: float) -> str:
    """A p in words, "= 0.02", by two digits; never 0."""
    return "< 0.001" if p < 0.001 else f"= {p:.2g}" if p < 0.1 else f"= {p:.2f}"
