"""The benchmark of orders: a row for each sampler, its errors and its order."""

from __future__ import annotations

import pytest

from diffusion_core.schedules import LogSnrLinear
from diffusion_core.spacings import UniformSpacing
from evidence import convergence


@pytest.mark.slow
def test_a_row_holds_the_errors_and_the_order_fitted_to_the_last_three(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(convergence, "grids", lambda: [("short", LogSnrLinear(-2.0, 2.0), UniformSpacing())])
    assert convergence.main(["doublings=3", f"out={tmp_path}/t.md"]) == 0
    shown = capsys.readouterr().out
    assert (tmp_path / "t.md").read_text() == shown
    rows = [line.split(" | ") for line in shown.splitlines() if " | short | " in line]
    assert [row[0] for row in rows[::2]][:4] == [
        "| ddim, η = 0 (Euler)",
        "| heun",
        "| dpm_solver, order 1",
        "| dpm_solver, order 2",
    ]
    orders = {row[0]: float(row[-1].removesuffix(" |")) for row in rows}
    assert round(orders["| heun"]) == round(orders["| dpm_solver, order 2"]) == 2
    assert round(orders["| ddim, η = 0 (Euler)"]) == round(orders["| ancestral, beta"]) == 1
