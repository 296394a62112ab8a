"""The numbers that README.md says of committed results are those of their tables."""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
THREE = ("dpm_solver", "ddim", "ancestral")
NLL, FID = "nll/test mean", "fid/train/digits-cnn mean"


def paragraph(folder: str) -> str:
    """The paragraph of README.md that links a folder's table, on one line."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (found,) = (part for part in re.split(r"\n\n", text) if f"](results/{folder}/table.md)" in part)
    return " ".join(found.split())


def means(folder: str, metric: str) -> dict[tuple[str, ...], float]:
    """The means of a metric by the levels of a table of two axes."""
    with (ROOT / "results" / folder / "table.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    axes = list(rows[0])[1:3]
    return {tuple(row[axis] for axis in axes): float(row[metric]) for row in rows if row["row"] == "cell"}


def by_seed(spacing: str, steps: str) -> list[float]:
    """The NLL of each seed of a cell of results/spacing."""
    with (ROOT / "results" / "spacing" / "runs.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["axis.spacing"], row["axis.steps"]) == (spacing, steps)]
    return [float(row["nll/test"]) for row in sorted(rows, key=lambda row: row["seed"])]


def test_which_steps():
    told, nll, fid = paragraph("spacing"), means("spacing", NLL), means("spacing", FID)
    even, quadratic, least = (nll[spacing, "10"] for spacing in ("uniform", "quadratic", "optimal"))
    assert f"{even:.1f} bits/dim at even ones, {quadratic:.2f} at quadratic ones and {least:.2f} at" in told
    saved = [even - least for even, least in zip(by_seed("uniform", "10"), by_seed("optimal", "10"), strict=True)]
    assert f"{even - least:.1f} bits/dim saved ({min(saved):.1f} to {max(saved):.1f} by seed)" in told
    assert f"With 5 it is {nll['uniform', '5']:.0f} against {nll['optimal', '5']:.2f}" in told
    fids = [f"{fid[spacing, '10']:.0f}" for spacing in ("uniform", "quadratic", "optimal")]
    assert f"FID follows less ({fids[0]}, {fids[1]} and {fids[2]} with 10 steps" in told


def test_how_few_steps():
    told, nll, fid = paragraph("steps"), means("steps", NLL), means("steps", FID)
    beta, small = ("beta", "10"), ("beta_tilde", "10")
    assert f"far better samples than β (FID {fid[small]:.0f} against {fid[beta]:.0f})" in told
    assert f"a far worse bound ({nll[small]:.0f} bits/dim against {nll[beta]:.1f})" in told
    assert "its fitted variance has a better bound than either at every number of steps" in told
    for steps in ("5", "10", "25", "50", "100", "200", "1000"):
        assert nll["analytic", steps] < min(nll["beta", steps], nll["beta_tilde", steps])
    assert f"the bound does, by {nll['beta_tilde', '1000'] - nll['beta', '1000']:.2f} bits/dim" in told


def test_which_sampler():
    told, fid = paragraph("samplers"), means("samplers", FID)
    ten = [f"{fid[sampler, '10']:.0f}" for sampler in THREE]
    assert (
        f"With 10 steps DPM-Solver++ has an FID of {ten[0]}, DDIM of {ten[1]} and the ancestral chain of {ten[2]}"
        in told
    )
    assert f"has {fid['heun', '5']:.0f} after 5 steps, where DDIM has {fid['ddim', '5']:.0f}" in told
    bold = means("samplers", f"{FID.removesuffix(' mean')} bold")
    assert all(bold[sampler, steps] for sampler in (*THREE, "heun") for steps in ("25", "50", "100"))
    assert min(fid, key=lambda cell: fid[cell]) == ("dpm_sde", "50")
    assert f"the grid's best cell ({fid['dpm_sde', '50']:.1f}, by" in told


def times_ours(size: str, row: str) -> str:
    """What the first table of a committed comparison says in the column × ours."""
    lines = (ROOT / "benchmarks" / f"peers-{size}.md").read_text(encoding="utf-8").splitlines()
    found = next(line for line in lines if line.startswith(f"| {row} |"))
    return f"{float(found.split('|')[6]):.1f}"


def test_speed_and_precision():
    text = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    plain, same = "diffusers, its defaults, float32", "diffusers, our structure, bf16"
    assert f"UNet2DModel at its defaults {times_ours('medium', plain)} × as long" in text
    assert f"in our structure and bf16 {times_ours('medium', same)} ×" in text
    assert f"at 8×8 {times_ours('tiny', plain)} × and {times_ours('tiny', same)} ×" in text
    answers = json.loads((ROOT / "results" / "precision" / "answers.json").read_text(encoding="utf-8"))
    nll, fid = (c for c in answers["comparisons"] if c["metric"] in ("nll/test", "fid/train/digits-cnn"))
    assert f"NLL by {abs(nll['difference']):.3f} ± {nll['half_width']:.3f} bits/dim" in text
    ratio, ends = math.exp(fid["difference"]), [math.exp(fid["difference"] + s * fid["half_width"]) for s in (-1, 1)]
    assert f"FID by a factor of {ratio:.2f} ({ends[0]:.2f} to {ends[1]:.2f})" in text
    assert nll["verdict"] == fid["verdict"] == "equal"
