"""Errors that a good engineer could make, planted one at a time: the measure of what the tests are worth.

They were thought out from the mathematics and the purpose of the source, without a look at the tests, and each names
the test files that catch it. A test may be deleted as long as these stay caught:

    python -m tests.planted [NAME …]    plant each in a copy of the tree, run its tests, and print which were caught
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
CORE, SUITE = "tests/diffusion_core/", "tests/ablations/"
LEFT_OUT = {".git", "results"}
"""What lies in the root of the tree and no such test reads."""


@dataclass(frozen=True)
class Error:
    """An error: in `file`, `before` becomes `after`; the `tests` that catch it, none where nothing does yet."""

    file: str
    before: str
    after: str
    tests: tuple[str, ...] = ()


ERRORS = {
    "labels_left_out_by_the_draw_of_t": Error(
        "diffusion_core/conditioning.py",
        'uniform(seed, step, "label", (count,), HOST) < self.dropout',
        'uniform(seed, step, "t", (count,), HOST) < self.dropout',
        (CORE + "test_randomness.py",),
    ),
    "own_estimate_shown_by_the_draw_of_t": Error(
        "diffusion_core/conditioning.py",
        'uniform(seed, step, "self_conditioning", (count,), HOST)',
        'uniform(seed, step, "t", (count,), HOST)',
        (CORE + "test_randomness.py",),
    ),
    "dequantised_by_the_draw_of_t": Error(
        "diffusion_core/learner.py",
        'noise(shape, seed, step, "dequantise", HOST)',
        'noise(shape, seed, step, "t", HOST)',
        (CORE + "test_randomness.py",),
    ),
    "noise_moments_of_the_clipped_estimate": Error(
        "diffusion_core/fitting.py",
        "_passes(diffusion.with_clip(False), ",
        "_passes(diffusion, ",
        (CORE + "test_variances.py",),
    ),
    "sampler_noise_by_step_and_not_by_time": Error(
        "diffusion_core/samplers.py",
        "noise(times[k])",
        "noise(k)",
        (CORE + "test_samplers.py",),
    ),
    "first_step_of_beta_for_beta_tilde": Error(
        "diffusion_core/chain.py",
        "Step(gamma_2, gamma_1, gamma_1).beta_tilde",
        "Step(gamma_2, gamma_1, gamma_1).beta",
        (CORE + "test_variances.py",),
    ),
    "learned_variance_between_the_wrong_ends": Error(
        "diffusion_core/variances.py",
        "v * expand(step.log_beta, x_t) + (1 - v) * expand(step.log_beta_tilde, x_t)",
        "(1 - v) * expand(step.log_beta, x_t) + v * expand(step.log_beta_tilde, x_t)",
        (CORE + "test_variances.py",),
    ),
    "mu_read_at_the_strided_pair": Error(
        "diffusion_core/chain.py",
        "self._step(self.times[1:], self.times[1:] - 1)",
        "self._step(self.times[1:], self.times[:-1])",
        (CORE + "test_forward.py",),
    ),
    "average_without_warm_up": Error(
        "diffusion_core/averages.py",
        "1 - min(self.ema, (1 + step) / (10 + step))",
        "1 - self.ema",
        (CORE + "test_training.py",),
    ),
    "weight_decay_on_a_learned_schedule": Error(
        "diffusion_core/learner.py",
        'return group == "network"',
        "return True",
        (CORE + "test_training.py",),
    ),
    "continuous_bound_without_its_half": Error(
        "diffusion_core/likelihood.py",
        "0.5 * (end - start) / draws",
        "(end - start) / draws",
        (CORE + "test_mixture.py",),
    ),
    "guidance_by_one_more_than_its_scale": Error(
        "diffusion_core/guide.py",
        "guided = guide + self.scale * (own - guide)",
        "guided = own + self.scale * (own - guide)",
        (CORE + "test_guidance.py",),
    ),
    "dpm_solver_extrapolates_by_the_inverse": Error(
        "diffusion_core/solvers.py",
        "0.5 * length / earlier",
        "0.5 * earlier / length",
        (CORE + "test_diffusers.py",),
    ),
    "ddim_eta_not_squared": Error(
        "diffusion_core/samplers.py",
        "eta**2 * step.beta_tilde",
        "eta * step.beta_tilde",
        (CORE + "test_diffusers.py",),
    ),
    "churn_by_difference_of_sigma": Error(
        "diffusion_core/solvers.py",
        "(torch.exp(raised) - torch.exp(gamma_t)).clamp(min=0).sqrt()",
        "torch.exp(0.5 * raised) - torch.exp(0.5 * gamma_t)",
        (CORE + "test_edm.py",),
    ),
    "time_told_without_its_scale": Error(
        "diffusion_core/denoiser.py",
        "t.double() * (TIME_SCALE / self.gamma.horizon)",
        "t.double()",
        (CORE + "test_diffusion.py",),
    ),
    "control_variate_by_its_own_half": Error(
        "diffusion_core/stratified.py",
        "slope.flip(0) * control",
        "slope * control",
        (CORE + "test_likelihood.py",),
    ),
    "halves_of_a_bound_share_their_noise": Error(
        "diffusion_core/stratified.py",
        'f"bound/eps/{half}"',
        '"bound/eps/0"',
        (CORE + "test_randomness.py",),
    ),
    "density_off_by_half_a_level": Error(
        "diffusion_core/encodings.py",
        "(((raw + u) * self.width - 0.5) / 127.5 - 1)",
        "(((raw + u) * self.width) / 127.5 - 1)",
        (CORE + "test_encodings.py",),
    ),
    "importance_by_the_mean_loss": Error(
        "diffusion_core/timesteps.py",
        "(self.history**2).mean(1).sqrt()",
        "self.history.mean(1)",
        (CORE + "test_timesteps.py",),
    ),
    "hybrid_teaches_the_mean": Error(
        "diffusion_core/learner.py",
        "term(output.detach())",
        "term(output)",
        (CORE + "test_objectives.py",),
    ),
    "muon_without_nesterov": Error(
        "diffusion_core/muon.py",
        "moments.gradient.lerp(moments.m, MOMENTUM)",
        "moments.m.clone()",
        (CORE + "test_optimiser.py",),
    ),
    "the_same_flips_at_every_step": Error(
        "diffusion_core/batches.py",
        'draw(seed, step, "flip")',
        'draw(seed, 0, "flip")',
        (CORE + "test_batches.py",),
    ),
    "latents_scaled_without_the_variance_of_their_encoder": Error(
        "diffusion_core/latents.py",
        " + autoencoder.variance(moments).double().mean((0, 2, 3))",
        "",
        (CORE + "test_latents.py",),
    ),
    "identity_without_the_labels": Error(
        "ablations/settings/identity.py",
        '"cell": read_by_id(cell), **labels_read(cell)',
        '"cell": read_by_id(cell)',
        (SUITE + "grids/test_golden.py",),
    ),
    "identity_without_younger_settings": Error(
        "ablations/settings/registry.py",
        "for field in young if getattr(choice, field.name) == field.default}",
        "for field in young}",
        (SUITE + "settings/test_cell.py",),
    ),
    "budget_without_what_the_autoencoder_spent": Error(
        "ablations/settings/budget.py",
        "(budget - spent) / in_codes",
        "budget / in_codes",
        (SUITE + "stages/test_latents.py",),
    ),
    "seeds_of_cells_not_paired": Error(
        "ablations/grids/grid.py",
        "cell=replace(point.cell, seed=seed)) for seed in self.seeds for point in self.points]",
        "cell=replace(point.cell, seed=seed + i)) for seed in self.seeds for i, point in enumerate(self.points)]",
        (SUITE + "grids/test_grid.py",),
    ),
    "labels_of_variances_swapped": Error(
        "ablations/grids/crossing.py",
        '"beta": "β", "beta_tilde": "β̃"',
        '"beta": "β̃", "beta_tilde": "β"',
        (SUITE + "grids/test_grid.py",),
    ),
    "precision_for_recall": Error(
        "ablations/metrics/precision_recall.py",
        "float(value[KEY_METRIC_PRECISION]), float(value[KEY_METRIC_RECALL])",
        "float(value[KEY_METRIC_RECALL]), float(value[KEY_METRIC_PRECISION])",
        (SUITE + "metrics/test_metrics.py",),
    ),
    "kid_by_the_biased_estimator": Error(
        "ablations/metrics/kid.py",
        "((x, x), (x, y), (y, y))))",
        '((x, x), (x, y), (y, y))), mmd_est="biased")',
        (SUITE + "metrics/test_metrics.py",),
    ),
    "fid_of_biased_covariances": Error(
        "ablations/metrics/fid.py",
        "    return result\n",
        '    return result | {"sigma": result["sigma"] * (1 - 1 / len(feature))}\n',
        (SUITE + "metrics/test_fid.py",),
    ),
    "validation_images_in_training": Error(
        "ablations/data/sources.py",
        "validation, training = torch.split(order, [pool := len(order) // one_in, len(order) - pool])",
        "validation, training = order[: (pool := len(order) // one_in)], order",
        (SUITE + "data/test_shipped.py",),
    ),
    "balls_to_one_neighbour_fewer": Error(
        "ablations/metrics/density_coverage.py",
        "kthvalue(NEIGHBOURS + 1, 1)",
        "kthvalue(NEIGHBOURS, 1)",
        (SUITE + "metrics/test_metrics.py",),
    ),
    "less_coverage_is_better": Error(
        "ablations/metrics/density_coverage.py",
        'MetricInfo("Coverage", "max"',
        'MetricInfo("Coverage", "min"',
        (SUITE + "metrics/test_judging.py",),
    ),
    "curves_in_the_store_without_their_steps": Error(
        "ablations/tracking/tracker.py",
        "Metric(name, value, now, step) for",
        "Metric(name, value, now, 0) for",
        (SUITE + "tracking/test_tracker.py",),
    ),
    "new_metrics_taken_for_delivered": Error(
        "ablations/tracking/runs.py",
        "repr([self.tags, self.params, self.points])",
        "repr([self.tags, self.params])",
        (SUITE + "tracking/test_tracker.py",),
    ),
    "total_cost_without_the_guide": Error(
        "ablations/results/records.py",
        'for of in ("train", "autoencoder", "guide"))',
        'for of in ("train", "autoencoder"))',
        (SUITE + "results/test_records.py",),
    ),
    "learned_curves_of_one_seed_for_all": Error(
        "ablations/results/csv_text.py",
        "for at, each in formulas.items() if all(xy == each[0] for xy in each)}",
        "for at, each in formulas.items()}",
        (SUITE + "results/test_records.py",),
    ),
    "resolution_of_one_set_for_all": Error(
        "ablations/results/grid_json.py",
        "shown(counts=n * sets)",
        "shown(counts=n)",
        (SUITE + "results/test_records.py",),
    ),
}


def outcome(error: Error, tree: Path) -> str:
    """What becomes of an error that is planted in a copy of the tree."""
    file = tree / error.file
    text = file.read_text("utf-8") if file.is_file() else ""
    if text.count(error.before) != 1:
        return "snippet not found"
    if not error.tests:
        return "NOT CAUGHT"
    file.write_text(text.replace(error.before, error.after), "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n0", "-p", "no:cacheprovider", *error.tests]
    done = subprocess.run(command, cwd=tree, env=os.environ | {"PYTHONPATH": str(tree)}, capture_output=True)
    file.write_text(text, "utf-8")
    # Not by its exit status, which is the same where a plugin of pytest fails.
    return "caught" if b"\nFAILED " in done.stdout else "NOT CAUGHT"


def main(names: Sequence[str]) -> int:
    """Plant the errors of these names, or all; 0 if each that has tests is caught."""
    failed = 0
    with TemporaryDirectory() as place:
        tree = Path(place) / "tree"
        shutil.copytree(ROOT, tree, ignore=lambda folder, _: LEFT_OUT if Path(folder) == ROOT else {"__pycache__"})
        for name in names or ERRORS:
            error = ERRORS[name]
            became = outcome(error, tree)
            failed += became == "snippet not found" or (became == "NOT CAUGHT" and error.tests != ())
            print(f"{became:18} {name:54} {error.file}", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
