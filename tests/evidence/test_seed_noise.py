"""The noise of a training's seed: a spread by hand, and the page as its program writes it."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
from scipy.stats import chi2

from evidence.seed_noise import spread

PAGE = Path(__file__).parents[2] / "evidence" / "seed_noise.md"


def test_a_spread_by_hand():
    # Means of seeds and schedules away, ±1 is left in each of four places: 2 · 4/1, with one degree of freedom.
    values = pd.DataFrame([[7.0, 15.0], [5.0, 9.0]])
    low, high = ((8 / chi2.ppf(q, 1)) ** 0.5 for q in (0.975, 0.025))
    assert spread(values) == f"{8**0.5:.2g} ({low:.2g}–{high:.2g})"


def test_the_page_is_that_of_its_runs():
    done = subprocess.run([sys.executable, "-m", "evidence.seed_noise"], capture_output=True, text=True, check=True)
    assert done.stdout == PAGE.read_text(encoding="utf-8")
