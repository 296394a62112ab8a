"""The commands run on two simulated devices, by worker processes."""

from __future__ import annotations

import csv
import json
import subprocess
import sys

import pytest

from tests.ablations.conftest import TINY
from tests.simulated_cuda import environment
from tests.simulated_cuda.card import NAME


@pytest.mark.slow
def test_a_grid_runs_on_two_devices_and_its_cells_are_sampled_on_either(tmp_path):
    def command(module, *words):
        told = [sys.executable, "-m", f"ablations.{module}", f"results={tmp_path}", *words]
        done = subprocess.run(told, env=environment(2), cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    words = ["parameterization=v,epsilon", "name=tiny", "device=cuda", "launcher.per_gpu=2", "launcher.workers=2"]
    printed = command("run", *words, *TINY)
    assert NAME in printed
    with (tmp_path / "tiny" / "runs.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["status"], row["precision"]) for row in rows] == [("finished", "bf16")] * len(rows)
    results = [json.loads(path.read_text()) for path in (tmp_path / ".stages").glob("*/result.json")]
    assert {result["metadata"]["device"] for result in results} == {NAME}
    for device in ("cuda:0", "cuda:1"):
        command("sample", f"cell={rows[0]['cell_id']}", "n=4", f"device={device}")
