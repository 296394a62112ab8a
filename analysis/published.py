"""The papers' numbers beside ours. `published.csv` holds one number a row, with its source and how surely it was read.

Ours and theirs are never comparable as they stand (other data, size, budget), so whoever shows them names the data.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pandas as pd

DDPM = "DDPM (Ho 2020)"
DDPM_HEAD = f"CIFAR-10, {DDPM}"
_PARAMETERIZATIONS = {"mu": "mu-tilde", "epsilon": "epsilon"}
_VARIANCES = {"beta": "fixed isotropic", "beta_tilde": "fixed isotropic", "learned_diagonal": "learned diagonal Sigma"}
_OBJECTIVES = {
    ("vlb", "mu"): "L (true VLB)",
    ("vlb", "epsilon"): "L (true VLB)",
    ("simple", "mu"): "unweighted ||mu-tilde - mu_theta||^2",
    ("simple", "epsilon"): "L_simple",
}
_METRICS = {"nll": "NLL bits/dim test (upper bound)", "fid": "FID-50k vs train", "is": "IS"}


@cache
def published() -> pd.DataFrame:
    """All published numbers as text, a row each."""
    return pd.read_csv(Path(__file__).with_name("published.csv"), dtype=str, keep_default_na=False)


def _ddpm() -> pd.DataFrame:
    table = published()
    rows = table["table"].isin(["Table 1", "Table 2", "Table 1+2"]) & (table["dataset"] == "CIFAR-10 uncond 32x32")
    return table[rows & (table["paper"] == DDPM)]


def ddpm(parameterization: str, variance: str, objective: str) -> dict[str, str]:
    """DDPM's Tables 1 and 2 for our choices by config name: nll, fid, is → text; "" where the paper has none."""
    table = _ddpm()
    found = table[
        (table["parameterization"] == _PARAMETERIZATIONS.get(parameterization, "none"))
        & table["variance"].str.startswith(_VARIANCES.get(variance, "none"))
        & (table["objective"] == _OBJECTIVES.get((objective, parameterization), "none"))
    ]
    return {key: _entry(found[found["metric"] == name]) for key, name in _METRICS.items()}


def _entry(rows: pd.DataFrame) -> str:
    if rows.empty:
        return ""
    row = rows.iloc[0]
    return f"{row['value']} ± {row['ci']}" if row["ci"] else str(row["value"])


def ddpm_source() -> str:
    """Where those numbers come from and what they are."""
    row = _ddpm().iloc[0]
    return (
        f"{row['source']}, Tables 1 and 2 ({row['certainty']}): CIFAR-10 at 32 × 32, T = {row['T_train']}, "
        f"{row['iterations']} iterations, one training each; NLL of 8-bit data, an upper bound; FID of 50k samples "
        "against the training set, by another extractor; IS ± over 10 splits of the samples, not over seeds; "
        "“unstable” is the paper's word"
    )
