"""`python -m benchmarks.peers`: the speed of others' libraries beside this suite, as Markdown.

python -m benchmarks.peers [rounds=7] [device=auto] [threads=2] [size=tiny|medium|ddpm|all] [out=FILE]

Everything takes turns in one process, so that ratios hold on a busy machine. Needs `pip install -e '.[peers]'`.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from ablations.settings.exits import exit_code
from analysis.errors import InputError
from analysis.options import Option
from benchmarks.machine import machine
from evidence import markdown
from evidence.page_command import page_command

if TYPE_CHECKING:
    import torch

    from benchmarks.cases import Workload
    from benchmarks.peer_cases import Case
    from benchmarks.timing import Timing

NAMES = ("tiny", "medium", "ddpm")
OPTIONS = {
    "rounds": Option("how often every case is timed; medians are compared", 7, int),
    "device": Option("auto, cpu, cuda or cuda:N", "auto"),
    "threads": Option("CPU threads", 2, int),
    "size": Option(
        "8x8 grey images with the baseline's network, 32x32 colour with a larger one, with Ho et al.'s; or all",
        "tiny",
        choices=(*NAMES, "all"),
    ),
}

PEERS = {"diffusers": "diffusers", "denoising_diffusion_pytorch": "denoising-diffusion-pytorch"}
"""Distributions by the names that they are imported by."""

COUNTED = (
    "Multiply-adds are those of a forward pass of one image. MFU is the share of what the device could do: six "
    "operations a multiply-add in a training step, two in sampling, by the best of a few products and 3×3 convolutions "
    "in the same process, precision and threads. Peers run in torch's own settings, with the loss read at every step "
    "as their scripts do, and on data that lies ready on the device."
)
TRAINING = (
    "× ours above 1 takes longer than a step of ours as cells are trained; × per multiply-add is that for equally "
    "large networks. The peer of our structure does the same work in the same layers: there the code alone differs."
)
SAMPLING = (
    "One network call of each one's own DDIM, a tenth of a chain of ten: × ours is to be read as above, against the "
    "precision in which cells are sampled from here."
)
BOUND = (
    "Compare the last two columns, which are of the time that each takes to the same error over its draws; an error "
    "halves in four times the time."
)
START = (
    "The difference is what planning, the store of results and a worker process cost once a command, whatever is "
    "trained; each process takes the threads that it takes by itself."
)
WARM_UP = 1000
"""Steps of training on digits before the bound is taken, as many as a cell takes unless told otherwise."""
LOOPS = 3
"""Full loops from which their own error is taken."""


def measure(given: dict[str, Any]) -> str:
    """Measure; the page."""
    if min(given["rounds"], given["threads"]) < 1:
        raise InputError("rounds and threads must be at least 1")
    missing = [name for module, name in PEERS.items() if find_spec(module) is None]
    if missing:
        raise InputError(f"{' and '.join(missing)} not found: pip install -e '.[peers]'")
    command = " ".join(f"{key}={given[key]}" for key in ("rounds", "device", "threads", "size"))
    return "\n".join(page(given["rounds"], given["device"], given["threads"], given["size"], command))


main = page_command("benchmarks.peers", "Time others' libraries beside ours.", OPTIONS, measure)
"""The command; its exit code."""


def page(rounds: int, device_name: str, threads: int, size: str, command: str) -> list[str]:
    """The page of one size or of all."""
    import torch

    from ablations.launchers.protocol import found_devices
    from benchmarks.peer_cases import workload

    torch.set_num_threads(threads)
    device = torch.device(found_devices(device_name)[0])
    versions = ", ".join(f"{name} {version(name)}" for name in PEERS.values())
    sizes = NAMES if size == "all" else (size,)
    lines = [
        "# Speed beside others' libraries",
        "",
        *prose(f"By `python -m benchmarks.peers {command}`: medians of {rounds} rounds; a table's rows take turns."),
        *prose(f"{machine(device, threads)}; torch {torch.__version__}, {versions}."),
        "",
        *prose(COUNTED),
    ]
    for name in sizes:
        lines += size_lines(name, workload(name, device), rounds)
    if "tiny" in sizes:
        lines += [*bound_lines(device, rounds), *start_lines(rounds)]
    return lines


def size_lines(name: str, size: Workload, rounds: int) -> list[str]:
    """Both tables of a size."""
    from benchmarks.peak import peaks
    from benchmarks.peer_cases import STEPS, sampling_cases, training_cases

    best = peaks(size.device)
    # One table's networks are gone before the next one's are made.
    trained = case_lines("a training step", training_cases(size), size, rounds, best, Work(size.batch, 3, 1))
    sampled = case_lines("a call of sampling", sampling_cases(size), size, rounds, best, Work(size.batch, 1, STEPS))
    rates = ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in best.items())
    return [
        "",
        f"## {name}: {list(size.shape)}, batch {size.batch}",
        "",
        f"Peak, in 10⁹ operations a second: {rates}.",
        "",
        *prose(TRAINING),
        "",
        *trained,
        "",
        *prose(SAMPLING),
        "",
        *sampled,
    ]


@dataclass(frozen=True)
class Work:
    """Work that is timed at once: so many network calls on a batch, each of so many forward passes' work."""

    batch: int
    passes: int
    calls: int


def case_lines(
    title: str, cases: list[Case], size: Workload, rounds: int, peaks: dict[str, float], work: Work
) -> list[str]:
    """The table of cases, of which the first is the one that others are held against."""
    from benchmarks.peak import mode_name, multiply_adds, parameters
    from benchmarks.timing import interleaved

    timings = interleaved({case.name: case.call for case in cases}, rounds, size.device)
    adds = [multiply_adds(case.network, size.shape) for case in cases]
    head = (title, "parameters", "MMAC/image", "ms", "images/s", "× ours", "× per multiply-add", "MFU")
    rows = (
        (
            case.name,
            f"{parameters(case.network):,}",
            *figures(timings[case.name], count, count / adds[0], work, peaks[mode_name(case.mode, size.device)]),
        )
        for case, count in zip(cases, adds, strict=True)
    )
    return markdown.table(head, rows)


def figures(timing: Timing, adds: int, more: float, work: Work, peak: float) -> tuple[str, ...]:
    """The columns from MMAC on, of a network with `more` times the first one's multiply-adds."""
    seconds = timing.seconds / work.calls
    reached = 2 * work.passes * adds * work.batch / seconds
    return (
        f"{adds / 1e6:.1f}",
        f"{1000 * seconds:.2f}",
        f"{work.batch / seconds:.0f}",
        f"{timing.ratio:.2f}",
        f"{timing.ratio / more:.2f}",
        f"{reached / peak:.1%}",
    )


def bound_lines(device: torch.device, rounds: int) -> list[str]:
    """The table of the bound."""
    from benchmarks.peer_bound import TIMED, costs, digits_model
    from benchmarks.peer_cases import HORIZON

    model, images = digits_model(device, HORIZON, WARM_UP)
    ours, loop = costs(model, images, rounds, LOOPS)
    head = ("way", "passes", "ms/image", "own error, bits/dim", "ms/image at the first's error", "× ours")
    ways = {f"ours, {ours.passes} terms": ours, f"improved-diffusion's way, all {HORIZON} terms": loop}
    rows = (
        (
            name,
            cost.passes,
            f"{1000 * cost.seconds:.2f}",
            f"{cost.error:.5f}",
            f"{1000 * cost.at(ours.error):.2f}",
            f"{cost.at(ours.error) / ours.seconds:.2f}",
        )
        for name, cost in ways.items()
    )
    return [
        "",
        "## The bound at equal error",
        "",
        *prose(
            f"{len(images)} held-out digits as 8-bit images, the baseline's network after {WARM_UP} steps. {TIMED} of "
            f"the loop's {HORIZON} terms are timed, all are taken for its error, in {LOOPS} loops over our network."
            f" {BOUND}"
        ),
        "",
        *markdown.table(head, rows),
    ]


def start_lines(rounds: int) -> list[str]:
    """The table of first steps."""
    import torch

    from benchmarks.peer_start import start_diffusers, start_ours
    from benchmarks.timing import interleaved

    cases = {"ours, python -m ablations.run": start_ours, "diffusers, a script of one step": start_diffusers}
    timings = interleaved(cases, rounds, torch.device("cpu"))
    return [
        "",
        "## From a command to its first training step",
        "",
        *prose(START),
        "",
        *markdown.table(
            ("command", "seconds", "× ours"),
            ((name, f"{timing.seconds:.1f}", f"{timing.ratio:.2f}") for name, timing in timings.items()),
        ),
    ]


def prose(text: str) -> list[str]:
    """A paragraph's lines."""
    return wrap(text, 118)


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
