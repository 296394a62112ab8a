"""The order at which every sampler's error falls with its steps, as Markdown. It rebuilds `docs/convergence.md`:

    python -m evidence.convergence doublings=6 out=docs/convergence.md

Data whose denoiser is known stand in for a trained network (`diffusion_core/testing/orders.py`), so that what is left
is the sampler's own error.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ablations.settings.exits import exit_code
from analysis.errors import InputError
from analysis.options import Option
from evidence import markdown
from evidence.page_command import page_command

if TYPE_CHECKING:
    from diffusion_core.samplers import Sampler
    from diffusion_core.schedules import Schedule
    from diffusion_core.spacings import Spacing
    from diffusion_core.variances import Variance

OPTIONS = {
    "doublings": Option("numbers of steps, from 8 on, each twice the one before", 6, int),
}

FEWEST = 8


def measure(given: dict[str, Any]) -> str:
    """Measure; the tables."""
    if given["doublings"] < 3:
        raise InputError("doublings must be at least 3: an order is fitted to three numbers of steps")
    counts = tuple(FEWEST * 2**i for i in range(given["doublings"]))
    return "\n".join(lines(counts, f"python -m evidence.convergence doublings={given['doublings']}"))


main = page_command("evidence.convergence", "Measure the samplers' orders.", OPTIONS, measure, "tables")
"""The command; its exit code."""


def lines(counts: tuple[int, ...], command: str) -> list[str]:
    """Both tables, with what they hold."""
    import torch

    from diffusion_core.testing.orders import HORIZON

    torch.set_num_threads(1)
    return [
        "# Orders of convergence",
        "",
        "How fast the error of each sampler falls when it takes more steps. With an order of p the error is ∝ K^−p:",
        "twice the steps halve an error of order 1, and quarter one of order 2. For example, DDIM with the linear",
        "schedule (the first row below) about halves its error from each K to the next: its order is about log₂ 2 = 1.",
        "The last column is fitted to the last three K.",
        "",
        "The network is the exact denoiser of its data, so every error is the sampler's own. K steps go from t = T to",
        f"t = 1 on a horizon of T = {HORIZON}; the step into clean data is left out.",
        "",
        f"Written by `{command} out=docs/convergence.md`, in float64.",
        "",
        "## Samplers of the flow",
        "",
        "The error is the root mean square distance of 64 points from where the exact flow takes them. Two kinds of",
        "row need a word:",
        "",
        "- *`dpm_solver` of order 2 at even times* reads as 1.4 to 2.0. The steps next to clean data, and those next",
        "  to noise alone, have the same length in log-SNR for any K. So a method with memory errs by K^−2 log K.",
        "- *`heun` with cosine at even times* is of no use in few steps, and does not reach its order in 256. Cosine's",
        "  last β is 0.999, so Heun's steps in σ are far longer than the σ they end in.",
        "",
        *flow_table(counts),
        "",
        "## Samplers that draw noise",
        "",
        "The error is the root mean square error of the samples' variance, on Gaussian data: a weak order.",
        "",
        *variance_table(counts),
    ]


def grids() -> list[tuple[str, Schedule, Spacing]]:
    """Schedules with spacings of the steps, and their names."""
    from diffusion_core.schedules import Cosine, Linear, LogSnrLinear, Rectified
    from diffusion_core.spacings import KarrasSpacing, LogSnrSpacing, QuadraticSpacing, UniformSpacing

    return [
        ("linear, uniform", Linear(), UniformSpacing()),
        ("linear, quadratic", Linear(), QuadraticSpacing()),
        ("linear, log_snr", Linear(), LogSnrSpacing()),
        ("linear, karras", Linear(), KarrasSpacing()),
        ("cosine, uniform", Cosine(), UniformSpacing()),
        ("cosine, log_snr", Cosine(), LogSnrSpacing()),
        ("log_snr_linear from −8 to 4", LogSnrLinear(-8.0, 4.0), UniformSpacing()),
        ("rectified, uniform", Rectified(), UniformSpacing()),
        ("rectified, log_snr", Rectified(), LogSnrSpacing()),
    ]


def flow_table(counts: tuple[int, ...]) -> list[str]:
    """A row for each sampler, grid and problem."""
    from diffusion_core.samplers import Ddim
    from diffusion_core.solvers import DpmSolver, Heun
    from diffusion_core.testing.orders import flow_errors
    from diffusion_core.testing.problems import GaussianData, MixtureData

    samplers: dict[str, Sampler] = {
        "ddim, η = 0 (Euler)": Ddim(),
        "heun": Heun(),
        "dpm_solver, order 1": DpmSolver(order=1),
        "dpm_solver, order 2": DpmSolver(order=2),
    }
    problems: dict[str, GaussianData | MixtureData] = {
        "Gaussian": GaussianData((0.3, 1.7)),
        "mixture": MixtureData(components=8, width=0.2),
    }
    rows = (
        row((name, grid, problem), counts, flow_errors(sampler, data, schedule, spacing, counts))
        for name, sampler in samplers.items()
        for grid, schedule, spacing in grids()
        for problem, data in problems.items()
    )
    return markdown.table(head(("schedule, spacing", "data"), counts), rows)


def variance_table(counts: tuple[int, ...]) -> list[str]:
    """A row for each sampler and grid."""
    from diffusion_core.samplers import Ancestral, Ddim
    from diffusion_core.solvers import DpmSolver, Heun
    from diffusion_core.testing.orders import variance_errors
    from diffusion_core.testing.problems import GaussianData
    from diffusion_core.variances import Beta, BetaTilde

    samplers: dict[str, tuple[Sampler, Variance]] = {
        "ancestral, beta": (Ancestral(), Beta()),
        "ancestral, beta_tilde (ddim, η = 1)": (Ancestral(), BetaTilde()),
        "ddim, η = 0.5": (Ddim(eta=0.5), BetaTilde()),
        "dpm_solver, sde, order 1": (DpmSolver(order=1, equation="sde"), BetaTilde()),
        "dpm_solver, sde, order 2": (DpmSolver(order=2, equation="sde"), BetaTilde()),
        "heun, churn = 1": (Heun(churn=1.0), BetaTilde()),
    }
    data = GaussianData((0.3, 1.7))
    rows = (
        row((name, grid), counts, variance_errors(sampler, data, schedule, spacing, counts, variance))
        for name, (sampler, variance) in samplers.items()
        for grid, schedule, spacing in grids()
    )
    return markdown.table(head(("schedule, spacing",), counts), rows)


def head(columns: tuple[str, ...], counts: tuple[int, ...]) -> list[str]:
    """The head of a table."""
    return ["sampler", *columns, *(f"K = {count}" for count in counts), "order"]


def row(names: tuple[str, ...], counts: tuple[int, ...], errors: list[float]) -> list[str]:
    """A row of a table."""
    from diffusion_core.testing.orders import order

    return [*names, *(f"{error:.1e}" for error in errors), f"{order(counts, errors):.2f}"]


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
