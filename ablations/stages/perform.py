"""A stage in a worker, by the address of its journal: on one device, or on several where it trains."""

from __future__ import annotations

from ablations.engine import perform as engine
from ablations.engine.stage import Bench, Stage
from ablations.stages.devices import devices_of
from ablations.stages.opening import journal_at
from ablations.stages.together import perform_together


def perform(stage: Stage, address: str, device: str) -> str:
    """Run a stage as the engine does; the `address` is the journal's."""
    return engine.perform(stage, journal_at(address), device, _runs)


def _runs(stage: Stage, bench: Bench) -> None:
    if stage.trains and len(devices_of(bench.device)) > 1:
        perform_together(stage, bench)
    else:
        engine.perform_share(stage, bench)
