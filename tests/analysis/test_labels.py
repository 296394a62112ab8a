import math

import pytest
from matplotlib.mathtext import MathTextParser

from analysis.labels import (
    SYMBOLS,
    Rounding,
    cell_name,
    duration,
    latex,
    listed_names,
    mathtext,
    power_of_ten,
    some,
    width,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("μ̃", r"$\tilde{\mu}$"),
        ("x̂₀", r"$\hat{x} _{0}$"),
        ("ᾱₜ", r"$\bar{\alpha} _{t}$"),
        ("‖Σ‖²", r"$\Vert \Sigma \Vert ^{2}$"),
        ("σ²₁₀", r"$\sigma ^{2} _{10}$"),
        ("log₂ n", "log$_{2}$ n"),
        ("3.2·10⁻⁶", r"3.2$\cdot$10$^{-6}$"),
        ("95 % of R&D_1 #2 {a} $", r"95 \% of R\&D\_1 \#2 \{a\} \$"),
        ("a~b^c\\d", r"a\textasciitilde{}b\textasciicircum{}c\textbackslash{}d"),
        ("p < q | “r” – s", "p $<$ q $|$ ``r'' -- s"),
        ("naïve señor", "naïve señor"),
        ("run `a_b=1` now", r"run \texttt{a\_b=1} now"),
        ("lone ` tick", "lone ` tick"),
    ],
)
def test_latex(text, expected):
    assert latex(text) == expected


def test_mathtext_leaves_text_as_it_is():
    assert mathtext("x_0 & 5 % of Σ, $1") == r"x_0 & 5 % of $\Sigma$, \$1"


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_matplotlib_sets_every_symbol(symbol):
    set_out, alone = (MathTextParser("agg").parse(mathtext(text)) for text in (f"1/{symbol}n", "1/n"))
    assert set_out.width > alone.width


def test_losses_and_terms_of_the_bound_have_subscripts():
    assert mathtext("learned, L_hybrid") == r"learned, $L_{\mathrm{hybrid}}$"
    assert mathtext("up to L_{T−1}") == r"up to $L_{T-1}$"
    assert mathtext("β_1, of β_T") == r"$\beta_{1}$, of $\beta_{T}$"
    assert mathtext("β_10 L_0") == r"$\beta$_10 $L_{0}$"
    assert latex("L_0, 5 %") == r"$L_{0}$, 5 \%"
    assert latex("VAL_0 and L_") == r"VAL\_0 and L\_"


def test_widths_powers_and_durations():
    assert [width(text) for text in ("μ̃", "x₀ ‖", "abc", "漢字")] == [1, 4, 3, 4]
    assert [power_of_ten(exponent) for exponent in (12, -6, 30)] == ["10¹²", "10⁻⁶", "10³⁰"]
    assert [duration(seconds) for seconds in (59.6, 480.2, 9000.0)] == ["60 s", "8.0 min", "2.5 h"]


@pytest.mark.parametrize(
    ("decimals", "mean", "half", "expected"),
    [
        (2, 2.4314, 0.0497, "2.43 ± 0.05"),
        (1, 412.34, 85.21, "412 ± 85"),
        (1, 12345.6, 1.0, "12346 ± 1"),
        (2, math.nan, math.nan, "–"),
        (2, -0.123, 0.05, "−0.12 ± 0.05"),
        (2, -0.001, 0.05, "0.00 ± 0.05"),
        (4, 0.00213, 0.0002, "0.0021 ± 0.0002"),
        (2, 2.43, 0.001, "2.43 ± <0.01"),
        (1, 2.5e7, 3e6, "(2.50 ± 0.30)·10⁷"),
        (None, 2.104e12, 1e8, "(2.10 ± <0.01)·10¹²"),
        (None, 9.996e11, math.nan, "1.00·10¹²"),
        (None, 999999.0, math.nan, "999999"),
        (None, 3.2e-6, 4e-7, "(3.20 ± 0.40)·10⁻⁶"),
        (1, math.inf, math.nan, "∞"),
    ],
)
def test_measured(decimals, mean, half, expected):
    assert Rounding(decimals).measured(mean, half) == expected


def test_what_is_counted_has_no_interval_where_seeds_agree():
    cases = {(3.45e14, 1e-2): "3.45·10¹⁴", (2048.0, 0.0): "2048", (91.8, 2.2): "91.8 ± 2.2"}
    assert {case: Rounding(counted=True).measured(*case) for case in cases} == cases


def test_a_column_of_narrow_intervals_has_a_decimal_more():
    rounding = Rounding.of(2, [0.004, 0.003, 0.2, math.nan])
    assert rounding.measured(2.4314, 0.004) == "2.431 ± 0.004"
    assert Rounding.of(2, [0.04, 0.003, 0.2]).measured(2.4314, 0.04) == "2.43 ± 0.04"


def test_zero_has_as_many_decimals_as_what_stands_beside_it():
    assert [Rounding(decimals=3).number(value) for value in (0.0, 0.0004, 0.25)] == ["0.000", "0.000", "0.250"]


def test_names_are_set_apart_by_commas_unless_one_has_a_comma_of_its_own():
    assert listed_names(["a · 1", "b · 1", "c"], "or") == "a · 1, b · 1 or c"
    assert listed_names(["a, 1", "b", "c"], "or") == "a, 1; b or c"
    assert (some(["a", "b", "c"]), some(["a", "b, 1", "c"])) == ("a, b, c", "a; b, 1; c")
    assert (some(["a", "b", "c"], 2), some(["a", "b"], 2)) == ("a, b, and 1 more", "a, b")


def test_a_bare_number_is_named_with_its_axis_and_what_says_what_it_is_by_itself():
    for label in ("5", "0.1", "0.0", "-2", "−2", "1e-4", "∞", "true", "auto"):
        assert cell_name([("Variance", "β"), ("Steps", label)]) == f"β · Steps = {label}"
    for label in ("10 steps", "T = 5", "KL × 10⁻⁶", "10 % skipped", "β", "float32", "1 of ε", "none"):
        assert cell_name([("Axis", label)]) == label
