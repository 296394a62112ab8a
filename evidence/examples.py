"""Examples to follow with a pencil: the beginnings of `evidence/inference.md` and `evidence/looks.md`.

Their numbers are worked out anew, by others' formulas, in `tests/evidence/test_examples.py`.
"""

INFERENCE = """\
## What a figure here is: an example

Two cells do not differ: δ = 0. Their difference is drawn at three seeds from a normal distribution of SD 1, and comes
out as 0.4, −0.7 and 0.9. The mean is 0.2, the SD 0.82, the 95 % interval 0.2 ± 4.30 · 0.82/√3 = 0.2 ± 2.03. It holds δ.

- *Coverage* is the share of 20000 such intervals that hold it: the row "normal", n = 3, of the first table.
- *A false claim*: a grid of 11 cells that do not differ and a baseline gives 11 such differences. The list of
  comparisons claims some of them or none, as in [the example of docs/statistics.md](../docs/statistics.md#an-example).
  Whatever it claims is false, and the grid is counted once, however much it claims.
- *Power*: now one cell differs by 3 SD, and what is counted are the grids in which this is found.
- *How exact a figure is*: among 4000 grids a rate of 5 % has the standard error √(0.05 · 0.95/4000) = 0.34 %.
"""

LOOKS = """\
## An example

Cells B and C are compared with a baseline A, and it is looked at 3, 5, 8 and 12 seeds. A difference of 0.01 matters.

- *3 seeds.* B − A is −0.09, −0.11, −0.10: p = 0.0033 by the paired t-test. C − A is −0.01, 0.02, 0.02: p = 0.42. This
  look may spend 3²/12² of 5 %, or 0.31 %, of which each of the two comparisons has half: 0.16 %. Nothing is settled,
  and since neither p is above ½, both go on.
- *5 seeds.* B − A is −0.12 and −0.09 at the new ones: p = 0.00006. This look may spend (5² − 3²)/12² of 5 %, or 0.56 %,
  and half of that is 0.28 %: B is better, and settled. Its interval is t at 1 − 0.28 %, 0.102 ± 6.57 · 0.0058 = 0.102 ±
  0.038. C − A is −0.03 and 0.01: p = 0.85, which is above ½. More seeds have no prospect, and the verdict is "cannot
  tell".
- *The end.* Nothing is open, so no more is trained: 15 trainings, where 12 seeds of each cell are 36. Five seeds of
  each, had one known that they would do, are 15 as well.
"""
