"""Missing stages of a plan given to the engine and followed by a bar; and the signal that stops a command."""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager

from ablations.driver.bar import Bar, OtherCommands, tried_again
from ablations.driver.following import Following, names_of
from ablations.driver.kinds import OtherKinds
from ablations.driver.pace import Pace
from ablations.driver.plan import Plan
from ablations.engine.dispatch import Dispatch
from ablations.engine.events import Event
from ablations.engine.journal import Journal
from ablations.engine.queue import Queue
from ablations.stages.stage import Stage


def launch(
    plan: Plan, journal: Journal, missing: list[Stage], shown: Bar, pace: Pace
) -> Generator[Event[Stage], None, None]:
    """Run stages, which the bar follows; yields what happens to them."""
    if not missing:
        return
    launcher, devices = plan.here.launcher, plan.here.devices
    kinds = OtherKinds(launcher.kind(devices[0]), journal, plan.stages())
    dispatch = Dispatch[Stage](launcher, journal, devices, Queue(kinds.late))
    dispatch.add(missing, plan.stages())
    following = Following(shown, pace, missing, journal, names_of(plan))
    others = OtherCommands(dispatch, shown, following.words)
    with closing(dispatch.run()) as events:
        for event in events:
            following.note(event)
            others.tell()
            if event.kind == "ended":
                kinds.note(event.stage)
            if event.kind in ("died", "damaged"):
                shown.write(tried_again(event))
            yield event
    following.look()


@contextmanager
def stopping() -> Iterator[None]:
    """SIGTERM stops like Ctrl-C."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
