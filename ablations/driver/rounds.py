"""The rounds of a command: what is run next, and what the pages then rest on.

    first rung, few seeds, judged  ─▶  whole trainings, few seeds  ─▶  further seeds  ─▶  …  ─▶  all that was asked for

The rounds are fixed before the first one. With a fixed number of seeds, pages before the end are preliminary: no round
depends on them, so the rule of the final answer is not affected. With `seeds=auto` the rounds of whole trainings are
the planned looks, each with the seeds that are still needed after those before it. A look that has begun is run to its
end, and its decisions come from the journal alone (`more_seeds`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from ablations.driver.more_seeds import Declared, doubled, looks_so_far
from ablations.driver.plan import Plan, Round
from ablations.engine.journal import Journal
from ablations.grids.grid import SEEDS, Planned
from ablations.stages.devices import devices_of
from ablations.stages.rung import RungStage
from ablations.stages.stage import Stage


def fixed(plan: Plan, journal: Journal) -> Iterator[Round]:
    """The rounds of a fixed number of seeds; at the end further generated sets, as many as are needed, if the grid asks
    for that."""
    rounds = planned(plan)
    yield from rounds
    for more, _ in doubled(plan, journal):
        yield replace(rounds[-1], plan=more, whole=more)


def planned(plan: Plan) -> list[Round]:
    """The rounds of a fixed number of seeds, as far as they are known beforehand."""
    n = len(plan.grid.seeds)
    counts = [n] if _sensible(plan) < 2 else [*(seeds for seeds in SEEDS if seeds < n), n]
    cells = {item.cell_id for item in plan.planned}
    parts = [(count, False, plan.first(dict.fromkeys(cells, count))) for count in counts]
    early = at_first_rung(parts[0][2])
    parts = [*([(counts[0], True, early)] if early is not None else []), *parts]
    return [
        Round(number, len(parts), part, plan, count, rung, number < len(parts), {"seeds": plan.grid.seeds})
        for number, (count, rung, part) in enumerate(parts, start=1)
    ]


def beforehand(plan: Plan, declared: Declared | None) -> list[Round]:
    """The rounds that are known before anything was run; with `seeds=auto`, those up to the first look."""
    if declared is None:
        return planned(plan)
    first = planned(plan.first(declared.begin().seeds))
    return [replace(round_, of=len(first) - 1 + len(declared.looks)) for round_ in first]


def at_once(plan: Plan) -> list[Round]:
    seeds = plan.grid.seeds
    return [Round(1, 1, plan, plan, len(seeds), rung=False, preliminary=False, details={"seeds": seeds})]


def looked(declared: Declared, journal: Journal) -> Iterator[Round]:
    """The rounds of `seeds=auto`: look after look, until nothing is open, or at the most seeds."""
    state = declared.begin()
    whole = declared.plan.first(state.seeds)
    early, looks = at_first_rung(whole), declared.looks
    before = 0 if early is None else 1
    of = before + len(looks)
    if early is not None:
        yield Round(1, of, early, whole, looks[0], rung=True, preliminary=True, details=looks_so_far(whole))
    for number, n in enumerate(looks, start=before + 1):
        part = declared.plan.first(state.seeds)
        yield (this := Round(number, of, part, part, n, rung=False, preliminary=False, details=looks_so_far(part)))
        if n == looks[0]:
            first = declared.plan
            for more, sets in doubled(part, journal):
                yield replace(this, plan=more, whole=more)
                declared = replace(declared, plan=first.with_sets(sets))
        earlier, state = state, declared.after(state, n, journal)
        print("\n".join(declared.said(earlier, state, n)), flush=True)
        if not state.open:
            return


def at_first_rung(plan: Plan) -> Plan | None:
    """A plan up to the first rung of each training, where cells are to be compared there; else None.

    The first stage at a rung takes its training there, and others that score the same training come after it. Not for
    several devices that share a training: they would not get the same numbers at a rung.
    """
    leads: dict[str, str] = {}
    early = [replace(item, stages=_early(item, leads)) for item in plan.planned]
    if _sensible(plan) < 2 or not leads or len(devices_of(plan.here.devices[0])) > 1:
        return None
    return replace(plan, planned=early)


def _early(item: Planned, leads: dict[str, str]) -> list[Stage]:
    """The stages of a cell up to its first rung; `leads` holds, by training, the id of the stage that takes it
    there."""
    rungs = [stage for stage in item.stages if isinstance(stage, RungStage)]
    first = [stage for stage in rungs if stage.step == min(rung.step for rung in rungs)]
    early: list[Stage] = [stage for stage in item.stages if stage.kind == "autoencoder" and first]
    for branched in (stage for stage in first if stage.before):
        alone = branched.waiting_for(branched.training.autoencoders)
        leads[alone.training.id] = alone.training.id
        early += [*alone.before, alone]
    for stage in (stage for stage in first if not stage.before):
        lead = leads.setdefault(stage.training.id, stage.id)
        needs = stage.training.needs if lead == stage.id else (*stage.training.needs, lead)
        early.append(replace(stage, needs=needs))
    return early


def _sensible(plan: Plan) -> int:
    """The number of cells that make sense."""
    return len({item.cell_id for item in plan.planned if item.refusal is None})
