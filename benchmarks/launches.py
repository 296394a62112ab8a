"""`python -m benchmarks.launches`: the operations that a step asks a card for, as Markdown.

python -m benchmarks.launches [device=cpu] [before=FOLDER] [out=FILE]

An operation that is no view is about one launch of a kernel, which takes the host 5 to 10 µs whatever it computes:
where networks and batches are small, a card waits for launches. Operations are counted as torch dispatches them, on a
card, or on a CPU by the path that they take on a card. Two differ there: a draw counts where a card has the copy of it,
and operations on the host's own numbers count as well. All is float32 but what says otherwise.

`before` is a checkout of an earlier commit, whose counts stand beside these. If its layers are grouped and know no
`keeps_bits`, they are counted by their path on a CPU, with about 100 more a step than on a card. What the host waits
for is counted on a card alone, by torch's debug mode; `tests/diffusion_core/test_waiting.py` counts it on a simulated
one.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ablations.engine.side_by_side import Member, side_by_side
from ablations.settings.exits import exit_code
from analysis import options
from analysis.errors import InputError
from analysis.options import Option
from benchmarks.cases import SMALL, Workload, scoring_cases, training_cases
from diffusion_core import decoders, precision
from diffusion_core.diffusion import Diffusion
from diffusion_core.learner import DiffusionLearner
from diffusion_core.networks import convolution, fused, grouped, layers
from diffusion_core.trainer import Trainer
from diffusion_core.training import Training
from evidence import markdown

OPTIONS = {
    "device": Option("cpu, cuda or cuda:N", "cpu"),
    "before": Option("a checkout of an earlier commit, to count in as well"),
    "out": Option("a file to write the page to as well"),
}
SILENT = {"empty", "empty_strided", "empty_like", "new_empty", "new_empty_strided", "_unsafe_view", "lift_fresh"}
"""Operations that launch nothing and are no views by their schema."""
LONG = "fit"
"""The beginning of a score that asks for as much at every level: it takes a minute to count."""
MEMBERS = (1, 2, 4, 8)
"""Numbers of trainings that are counted side by side."""
TOGETHER = "a step of trainings side by side, of all of them"
"""The title of their table."""
SYNCHRONISES = "synchronizing CUDA operation"


@dataclass(frozen=True)
class Count:
    """Launches of a call, and how often the host waited in it: None where that was not counted."""

    launches: int
    waits: int | None


Counts = dict[str, dict[str, Count]]
"""Title of a table → case → its count."""


class Launches(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operations on a kind of device that are no views."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device = device
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        viewing = any(result.alias_info and not result.alias_info.is_write for result in func._schema.returns)
        if not viewing and func.overloadpacket.__name__ not in SILENT:
            met = tree_leaves((args, kwargs, out))
            self.count += any(isinstance(value, Tensor) and value.device.type == self.device.type for value in met)
        return out


def main(arguments: list[str]) -> int:
    """The command; its exit code."""
    return options.run("benchmarks.launches", "How many operations a step asks a card for.", OPTIONS, write, arguments)


def write(given: dict[str, Any]) -> None:
    """Count, print, and write where asked."""
    from ablations.launchers.protocol import found_devices

    device = torch.device(found_devices(given["device"])[0])
    before = counts_in(Path(given["before"]), device) if given["before"] else None
    lines = page(counts(device) | {TOGETHER: counts_together(device)}, before, device)
    if given["before"]:
        lines.insert(4, f"`before` is commit {commit_of(Path(given['before']))}.")
    text = "\n".join(lines)
    print(text)
    if given["out"]:
        Path(given["out"]).write_text(text + "\n", encoding="utf-8")


def counts(device: torch.device) -> Counts:
    """The launches of every training and score, with the baseline's network and few images: they do not matter."""
    workload = Workload(SMALL, (1, 8, 8), 16, device)
    with as_on_a_card():
        scores = {name: case for name, case in scoring_cases(workload).items() if not name.startswith(LONG)}
        tables = {"a training step": training_cases(workload), "scoring": scores}
        return {title: {name: count(case, device) for name, case in cases.items()} for title, cases in tables.items()}


def counts_together(device: torch.device) -> dict[str, Count]:
    """The launches of a step of several trainings side by side."""
    workload = Workload(SMALL, (1, 8, 8), 16, device)
    with as_on_a_card():
        return {f"{members} of simple": count_together(workload, members) for members in MEMBERS}


@contextlib.contextmanager
def as_on_a_card() -> Iterator[None]:
    """A context in which nothing takes a path of its own on a CPU, or where the hardware has bf16."""
    with (
        patch.object(precision, "has_bf16", lambda device: False),
        patch.object(fused, "works", lambda: False),
        # Earlier commits have no such function, and nothing that takes its place.
        patch.object(grouped, "keeps_bits", lambda x: False, create=True),
        patch.object(convolution, "keeps_bits", lambda x: False, create=True),
        patch.object(layers, "keeps_bits", lambda x: False, create=True),
        patch.object(layers, "attend", scaled_dot_product_attention),
        patch.object(Diffusion, "term_of", Diffusion.term_in_all_rows),
        patch.object(decoders, "level_distances", lambda x0, gamma, values: x0[..., None] - values),
    ):
        yield


def count(case: Callable[[], object], device: torch.device) -> Count:
    """The second call of a case: the first one makes what is kept."""
    case()
    with Launches(device) as launches:
        case()
    return Count(launches.count, waits(case) if device.type == "cuda" else None)


def count_together(workload: Workload, members: int) -> Count:
    """The launches of the second step of so many trainings side by side, each of which counts what its thread does."""
    images = workload.images

    def learn(place: int, member: Member) -> int:
        model = workload.diffusion()
        model.initialise(place)
        plan = Training(batch=workload.batch, precision="auto")
        trainer = Trainer(DiffusionLearner(model), plan, workload.device, beside=member.exchange)
        trainer.step(images, place, 0)
        with Launches(workload.device) as launches:
            trainer.step(images, place, 1)
        return int(launches.count)

    return Count(sum(end.result() for end in side_by_side(members, learn)), None)


def waits(case: Callable[[], object]) -> int:
    """The number of times that the host waits for a card in a call."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            case()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return sum(SYNCHRONISES in str(warning.message) for warning in warned)


def counts_in(folder: Path, device: torch.device) -> Counts:
    """The counts by another checkout's code, in a process of its own; InputError where that fails."""
    if not (folder / "benchmarks").is_dir():
        raise InputError(f"before={folder} holds no benchmarks: give a checkout of this repository")
    code = f"import json, runpy, torch; print(json.dumps(runpy.run_path({__file__!r})['as_json']({str(device)!r})))"
    path = os.pathsep.join([str(folder.resolve()), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=folder, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"before={folder} could not be counted: {done.stderr.strip().splitlines()[-1]}")
    counted = json.loads(done.stdout)
    return {title: {name: Count(**count) for name, count in cases.items()} for title, cases in counted.items()}


def commit_of(folder: Path) -> str:
    """The commit of a checkout; "unknown" where it is none."""
    done = subprocess.run(["git", "-C", str(folder), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def as_json(device: str) -> dict[str, dict[str, dict[str, int | None]]]:
    """`counts` as JSON can hold it."""
    counted = counts(torch.device(device))
    return {title: {name: asdict(count) for name, count in cases.items()} for title, cases in counted.items()}


def page(counted: Counts, before: Counts | None, device: torch.device) -> list[str]:
    """A table for training, one for scoring, and one for trainings side by side."""
    where = f"on {torch.cuda.get_device_name(device)}" if device.type == "cuda" else "on a CPU, by the path of a card"
    lines = [
        "# Operations that a step asks a card for",
        "",
        f"By `python -m benchmarks.launches`, counted {where}, torch {torch.__version__}: the baseline's network,",
        "float32 but where it says bf16. What is no view is about one launch of a kernel.",
    ]
    for title, cases in counted.items():
        lines += ["", *table(title, cases, None if before is None else before.get(title))]
    return lines


def table(title: str, cases: Mapping[str, Count], before: Mapping[str, Count] | None) -> list[str]:
    """A row per case, with columns for what there is."""
    waited = any(count.waits is not None for count in cases.values())
    head = [title, *(["before"] if before is not None else []), "launches", *(["host waits"] if waited else [])]
    rows = []
    for name, count in cases.items():
        earlier = [] if before is None else [str(before[name].launches) if name in before else "–"]
        rows.append([name, *earlier, count.launches, *([count.waits] if waited else [])])
    return markdown.table(head, rows)


if __name__ == "__main__":
    raise SystemExit(exit_code(main))
