"""Rules of every launcher: stages run where it says, end as the journal tells, and have the numbers of this process.

The stages are small: what held-out points score, and one whose files are missing.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import torch

from ablations.engine.journal import Journal, Result
from ablations.engine.perform import perform
from ablations.engine.workers import Workers
from ablations.launchers.protocol import Launcher
from ablations.settings.making import make_cell
from ablations.stages.floor import FloorStage
from analysis.errors import InputError
from diffusion_core.testing.choices import OF_EVERY_CHOICE
from diffusion_core.testing.saying import Property, fail, require

AT_ONCE = 2
"""Stages that run side by side, where a launcher runs more than one."""


def stage(name: str) -> FloorStage:
    """A stage that scores held-out points, a second's work."""
    return FloorStage(name, make_cell([{"data": "mixture2d", "network": "mlp"}], seed=0))


def failing(name: str) -> FloorStage:
    return FloorStage(name, make_cell([{"data": "folder", "data.root": "/nowhere/at/all"}], seed=0))


@cache
def expected() -> Result:
    """The result of `stage` in this process."""
    threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as root:
        perform(stage("here"), Journal(Path(root)), "cpu")
        result = Journal(Path(root)).result("here")
    torch.set_num_threads(threads)
    assert result is not None, "the points of mixture2d can be scored"
    return result


@contextlib.contextmanager
def started(launcher: Launcher) -> Iterator[tuple[Workers, Journal, str]]:
    """Workers of at most `AT_ONCE` devices with a journal of their own, and the first device; closed at the end."""
    threads = torch.get_num_threads()
    devices = launcher.devices("cpu", 1)[:AT_ONCE]
    with tempfile.TemporaryDirectory() as root:
        workers = launcher.start(root, devices)
        try:
            yield workers, Journal(Path(root)), devices[0]
        finally:
            workers.close()
            torch.set_num_threads(threads)


def names_a_device_per_stage_that_runs_at_a_time(launcher: Launcher) -> None:
    """At least one, each as torch names devices; more threads a stage are no more stages, or more than it has."""
    many = launcher.devices("cpu", 1)
    try:
        few = launcher.devices("cpu", 64)
    except InputError:
        # No machine of it has so many cores.
        few = many[:1]
    require(launcher, "devices must name one at least", bool(few), "at 64 threads a stage it names none")
    require(
        launcher, "more threads a stage must not be more stages", len(few) <= len(many), f"{len(few)} > {len(many)}"
    )
    for device in many:
        named = f"it names {device!r}"
        require(launcher, "for device=cpu devices must name CPUs", torch.device(device).type == "cpu", named)


def refuses_a_device_that_is_none(launcher: Launcher) -> None:
    """An InputError, in one line that names it: nothing has started yet."""
    rule = "a device that is none must be refused by an InputError in one line"
    try:
        devices = launcher.devices("abacus", 1)
    except InputError as error:
        message = str(error)
        require(launcher, f"{rule} that names it", "abacus" in message and "\n" not in message, f"it says {message!r}")
        return
    fail(launcher, rule, f"device=abacus gives {devices}")


def stages_end_as_the_journal_tells_with_the_numbers_of_this_process(launcher: Launcher) -> None:
    """A status per stage, "finished" or "failed", and the result or the failure in the journal."""
    with started(launcher) as (workers, journal, device):
        futures = {name: workers.submit(make(name), device) for name, make in (("good", stage), ("bad", failing))}
        status = {name: workers.status(future) for name, future in futures.items()}
        rule = "status must be how a stage ended"
        require(
            launcher,
            rule,
            status["good"] == "finished",
            f"a stage that can be run is {status['good']!r}: {journal.failure('good')}",
        )
        require(launcher, rule, status["bad"] == "failed", f"a stage without its files is {status['bad']!r}")
        result, failure = journal.result("good"), journal.failure("bad")
        require(launcher, "a finished stage must have its result in the journal", result is not None, "there is none")
        assert result is not None, "it has just been looked for"
        difference = f"{result.metrics} is not {expected().metrics}"
        require(launcher, "numbers must be those of this process", result.metrics == expected().metrics, difference)
        has_reason = failure is not None and "/nowhere/at/all" in failure.message
        require(launcher, "a failed stage must have its reason in the journal", has_reason, f"it says {failure}")


def a_cancelled_stage_lets_its_worker_take_another(launcher: Launcher) -> None:
    """`cancel` returns at once, and what comes after runs."""
    with started(launcher) as (workers, journal, device):
        workers.cancel(workers.submit(stage("cancelled"), device))
        status = workers.status(workers.submit(stage("next"), device))
        rule = "after a stage is cancelled the next must run"
        require(launcher, rule, status == "finished", f"it is {status!r}: {journal.failure('next')}")


PROPERTIES: tuple[Property, ...] = (
    *OF_EVERY_CHOICE,
    names_a_device_per_stage_that_runs_at_a_time,
    refuses_a_device_that_is_none,
    stages_end_as_the_journal_tells_with_the_numbers_of_this_process,
    a_cancelled_stage_lets_its_worker_take_another,
)
