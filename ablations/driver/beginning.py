"""Lines on what a command will run, before its bar or in a dry run: its trainings, minutes by rounds, memory, disk
space, and which cells make no sense."""

from __future__ import annotations

import shutil
from collections.abc import Hashable, Sequence
from pathlib import Path

import torch

from ablations.data.base import Data
from ablations.driver.bar import minutes
from ablations.driver.estimates import COMMAND, DELIVERED, DRAWN, FIRST, Measured, measured
from ablations.driver.pace import standing
from ablations.driver.plan import Conditions, Plan, Round, trainings
from ablations.driver.work_units import alike, learner_of
from ablations.engine.disk import in_bytes
from ablations.engine.journal import Journal
from ablations.launchers.local import Local
from ablations.settings.evaluation import MOST_SETS
from ablations.stages.branch import BranchStage
from ablations.stages.restore import autoencoder_of
from ablations.stages.rung import RungStage
from ablations.stages.stage import Stage
from ablations.stages.training import WEIGHT_BYTES, state_each
from analysis.labels import counted
from analysis.plain import line
from diffusion_core.averages import Tracked

KEPT = 2  # checkpoints of a training under way


def bytes_of(stages: Sequence[Stage], workers: int, data: Data) -> int:
    """Bytes that these stages leave for good, and those that so many of them at work need besides."""
    parameters_by_kind: dict[Hashable, int] = {}
    left, largest = 0, 0
    for stage in stages:
        parameters = 0
        if stage.trains:
            key = alike(stage)
            if key not in parameters_by_kind:
                parameters_by_kind[key] = parameters_of(stage, data)
            parameters = parameters_by_kind[key]
            # An autoencoder has a plan of its own, which takes no snapshots.
            snapshots = 0 if stage.passes == "autoencoder" else stage.cell.training.snapshots
            largest = max(largest, WEIGHT_BYTES * parameters * state_each(snapshots) * KEPT)
        left += stage.bytes_left(data, parameters)
    return left + workers * largest


def parameters_of(stage: Stage, data: Data) -> int:
    """The number of parameters that a stage trains."""
    of_codes = stage.passes == "autoencoder"
    module = autoencoder_of(stage.cell, data) if of_codes else learner_of(stage.cell, data, torch.device("cpu"))
    return sum(parameter.numel() for parameter in module.parameters())


def on_disk(needed: int, folder: Path) -> str:
    """The bytes needed, and those that are free where a folder is or will be, in words."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.is_dir())
    return f"about {in_bytes(needed)} on disk, of {in_bytes(shutil.disk_usage(there).free)} that are free"


def sizes(rounds: Sequence[Round], journal: Journal) -> list[str]:
    """Lines about the stages of the last of these rounds, the new ones among them, and the time of each round."""
    plan = rounds[-1].plan
    stages, missing = plan.stages(), [round_.plan.missing(journal) for round_ in rounds]
    everything = [stage for of_round in missing for stage in of_round]
    learns = ("training", "branch", "guide", "autoencoder")
    new = sum(stage.kind in learns for stage in missing[-1])
    trainings = sum(stage.kind in learns for stage in stages)
    encoders = sum(stage.kind == "autoencoder" for stage in stages)
    of_encoders = f" ({encoders} of autoencoders)" if encoders else ""
    cells = len({item.cell_id for item in plan.planned})
    size = f"{counted(cells, 'cell')} × {counted(len(plan.grid.seeds), 'seed')}"
    measurement = measured_there(plan.here, everything)
    memory = measurement.memory if everything else None
    each = "" if memory is None else f", each with {in_bytes(int(memory))} of memory"
    seconds = seconds_of_rounds(rounds, journal, measurement)
    devices = plan.here.devices
    needed = bytes_of(missing[-1], len(devices), plan.here.data)
    return [
        f"{size}: {counted(trainings, 'training')}{of_encoders}, {new} of them new",
        f"about {minutes(sum(seconds))} on {len(devices)} worker(s) ({devices[0]}){each}, measured just now",
        *(in_turn(rounds, seconds) if len(rounds) > 1 and everything else []),
        *more_drawing(plan, journal, measurement),
        on_disk(needed, journal.root),
        *without_rungs(plan),
    ]


def more_drawing(plan: Plan, journal: Journal, measurement: Measured) -> list[str]:
    """A line on the time of all sets that `evaluation.sets=auto` may draw; none where their number is fixed."""
    first = {stage.id for stage in plan.stages()}
    more = [stage for stage in plan.with_sets(MOST_SETS).missing(journal) if stage.id not in first]
    if not more:
        return []
    seconds = measurement.seconds(more, plan.here.data, len(plan.here.devices), {})
    return [f"  up to {minutes(seconds)} more, if drawing asks for {MOST_SETS} sets (evaluation.sets=auto)"]


def without_rungs(plan: Plan) -> list[str]:
    """A line on the cells whose trainings have none of the rungs that are asked for; none where all have some."""
    cells = {item.cell_id: item.cell for item in plan.planned if item.refusal is None}.values()
    without = sum(cell.evaluation.rungs > 0 and not isinstance(cell.average, Tracked) for cell in cells)
    return [f"{counted(without, 'cell')} without rungs, which average=tracked alone has"] if without else []


def in_turn(rounds: Sequence[Round], seconds: Sequence[float]) -> list[str]:
    """A line for each round, with the time that it takes."""
    return [f"  {round_.named}: {_takes(round_, took)}" for round_, took in zip(rounds, seconds, strict=True)]


def _takes(round_: Round, seconds: float) -> str:
    if not seconds:
        return "there already"
    return f"{minutes(seconds)} more" if round_.number > 1 else minutes(seconds)


def measured_there(here: Conditions, stages: Sequence[Stage], quick: bool = False) -> Measured:
    """Seconds of the parts of these stages, measured where they are to run. Nothing for a `quick` answer on a GPU,
    which takes long to open."""
    devices, launcher = here.devices, here.launcher
    if quick and devices[0] != "cpu":
        return Measured()
    beside = len(devices) if isinstance(launcher, Local) else 1
    return launcher.there(devices[0], measured, list(stages), devices[0], beside, quick, launcher.most)


def seconds_of_rounds(rounds: Sequence[Round], journal: Journal, measurement: Measured) -> list[float]:
    """Seconds of each round after those before it, from where trainings stand now. The first round with something to
    run includes the command's start, the last one its end. All are 0 where there is nothing to do."""
    workers = len(rounds[0].plan.here.devices)
    done: set[str] = set()
    starts = standing([stage for round_ in rounds for stage in round_.plan.missing(journal)], journal)
    each_round = []
    for round_ in rounds:
        stages = [stage for stage in round_.plan.missing(journal) if stage.id not in done]
        each_round.append(measurement.seconds(stages, round_.plan.here.data, workers, starts))
        done |= {stage.id for stage in stages}
        starts |= {
            rung.training.id: rung.step / rung.cell.training.steps
            for rung in stages
            if isinstance(rung, RungStage) and rung.leads
        }
        branches = [stage for stage in stages if isinstance(stage, BranchStage)]
        starts |= {branch.longer: branch.share_of_trunk for branch in branches if branch.longer not in branch.needs}
    if not any(each_round):
        return each_round
    runs = len(rounds[-1].plan.planned)
    # Pages of a round are drawn beside the workers of the next one, which they slow down.
    each_round = [seconds + (DRAWN / workers if i and seconds else 0.0) for i, seconds in enumerate(each_round)]
    each_round[next(i for i, seconds in enumerate(each_round) if seconds)] += COMMAND + FIRST
    each_round[-1] += DRAWN + DELIVERED * runs
    return each_round


NAMED = 5
"""The number of cells that are named in lines of their own."""


def beginning(rounds: Sequence[Round], journal: Journal, hours: float | None = None) -> tuple[list[str], Measured]:
    """Lines that say what is run, by rounds, and about how long it takes; and the measurement behind them. Both are
    empty where nothing is missing."""
    plan = rounds[-1].plan
    missing = [stage for round_ in rounds for stage in round_.plan.missing(journal)]
    if not missing:
        return [], Measured()
    cells = len({item.cell_id for item in plan.planned if item.refusal is None})
    new = len(trainings(plan) & {stage.id for stage in missing})
    size = f"{counted(cells, 'cell')} × {counted(len(plan.grid.seeds), 'seed')}, {counted(new, 'training')} to run"
    measurement = measured_there(plan.here, missing, quick=True)
    if not measurement.each:
        return [f"{plan.grid.name}: {size}, {counted(len(rounds), 'round')}", *refused(plan)], measurement
    seconds = seconds_of_rounds(rounds, journal, measurement)
    total = f"about {minutes(sum(seconds))} on {counted(len(plan.here.devices), 'worker')}"
    turns = in_turn(rounds, seconds) if len(rounds) > 1 else []
    if hours is not None:
        turns = [*turns, f"it ends once all its commands have taken {minutes(3600 * hours)} (hours={hours:g})"]
    return [f"{plan.grid.name}: {size}, {total}", *turns, *refused(plan)], measurement


def refused(plan: Plan) -> list[str]:
    """A line for each cell that makes no sense, with the reason; of many cells only the first, and the number of the
    others."""
    reasons = {item.cell_id: item for item in plan.planned if item.refusal is not None}
    lines = [line(f"incompatible: {item.name}: {item.refusal}") for item in reasons.values()]
    more = len(lines) - NAMED
    return [*lines[:NAMED], *([f"incompatible: {more} more, in the table"] if more > 0 else [])]
