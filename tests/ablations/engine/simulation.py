"""The journal's protocol on a virtual clock and virtual files, with processes that die, stand still, and come back.

    command ─▶ Dispatch ─▶ workers ─▶ perform ─▶ journal, leases      the engine's own code, none of it changed
       └──────────── a process each, which stops at whatever it asks of the clock or of a file ────────────┘

A history is random, and replayed by its seed. At each stop another process may go on, and anything may happen: a worker
or a command is killed, stands still for longer than loses a lease, finds the disk full, waits long for a file; a file
rots. What must hold is said in `check`.
"""

from __future__ import annotations

import errno
import json
import random
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from heapq import heappop, heappush
from pathlib import Path
from unittest import mock

from greenlet import getcurrent, greenlet

from ablations.engine import dispatch, lease
from ablations.engine import stage as engine_stage
from ablations.engine.dispatch import Dispatch
from ablations.engine.files import CHECKPOINT
from ablations.engine.journal import RESULT, STATUS, Journal, Result
from ablations.engine.lease import NAME, Holder
from ablations.engine.perform import perform
from ablations.engine.processes import Processes, Share
from ablations.engine.shelves import Shelf
from ablations.engine.stage import Bench
from ablations.engine.workers import WorkerDied, Workers
from tests.ablations.engine import toys
from tests.ablations.engine.toys import LEFT, Toy

LOST, RENEWED = 12.0, 1.0
"""The lease's seconds here: fewer, for a shorter history."""
QUIET = 60.0
"""After so many seconds nothing happens any more but what the processes do."""
LONGEST = 600.0
"""Within so many seconds everything has ended."""


MORE = 3
"""Commands at the end, in quiet."""


class Killed(BaseException):
    """The process has ended at once: nothing that it does on its way out has any effect."""


class Violation(BaseException):
    """What must never happen has happened; no code of the engine takes it for a failure of a stage."""


@dataclass(eq=False)
class Process:
    """A process of a machine, with its threads; its `children` end with it, sooner or later.

    It `works` at a stage, has had a lease, and `stood` still for so long that this may have been lost.
    """

    pid: int
    machine: str
    works: bool = False
    leased: bool = False
    stood: bool = False
    alive: bool = True
    frozen: float = 0.0
    threads: list[Thread] = field(default_factory=list)
    children: list[Process] = field(default_factory=list)


@dataclass(eq=False)
class Thread:
    """A thread of a process, which sleeps until it is to go on."""

    process: Process
    run: greenlet
    wakes: float = 0.0
    over: bool = False


class World:
    """The clock, the files, the processes, and what befalls them: all by one seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.files: dict[tuple[str, str], tuple[str, float]] = {}
        self.processes: list[Process] = []
        self.sleepers: list[tuple[float, int, Thread]] = []
        self.count = 0
        self.hub = getcurrent()
        self.current: Thread | None = None
        self.full = 0.0
        self.rotten: set[str] = set()
        self.finished: dict[str, str] = {}
        self.came_late: set[str] = set()
        self.stopped: set[str] = set()
        self.trouble = self.random.choice((0.0, 0.002, 0.01, 0.03))
        self.log: list[str] = []

    def start(self, process: Process, work, at: float | None = None) -> Thread:
        """A thread of a process that begins to do this, now or at a time."""
        thread = Thread(process, greenlet(work, self.hub))
        process.threads.append(thread)
        self.wake(thread, self.now if at is None else at)
        return thread

    def wake(self, thread: Thread, at: float) -> None:
        """Have a thread go on at a time."""
        self.count += 1
        thread.wakes = at
        heappush(self.sleepers, (at, self.count, thread))

    def process(self, machine: str) -> Process:
        """A new process."""
        self.processes.append(Process(len(self.processes) + 1, machine))
        return self.processes[-1]

    def pause(self, seconds: float) -> None:
        """Let others go on; Killed where the process was killed meanwhile."""
        thread = self.current
        if not thread.process.alive:
            raise Killed
        self.wake(thread, self.now + seconds)
        self.hub.switch()
        if not thread.process.alive:
            raise Killed

    def run(self) -> None:
        """Let all threads go on, the first that wakes first, until none is left."""
        while self.sleepers:
            at, _, thread = heappop(self.sleepers)
            if thread.over or at != thread.wakes:
                continue
            if thread.process.alive and thread.process.frozen > LONGEST:
                continue
            if thread.process.alive and thread.process.frozen > at:
                self.wake(thread, thread.process.frozen + self.random.random())
                continue
            self.now = max(self.now, at)
            if self.now > LONGEST:
                raise Violation("it does not end")
            self.current = thread
            with suppress(Killed):
                thread.run.switch()
            thread.over = thread.over or thread.run.dead

    def touch(self, what: str) -> None:
        """Something is asked of a file: it takes a moment, in which anything may happen."""
        process, chance = self.current.process, self.random.random
        if not process.alive:
            raise Killed
        if self.now < QUIET and chance() < self.trouble:
            self.befall(process, what)
        self.pause(0.02 * chance())
        if self.now < self.full and what.startswith(("make", "write", "note")):
            raise OSError(errno.ENOSPC, "No space left on device")

    def befall(self, process: Process, what: str) -> None:
        """A process is killed, or stands still; the disk is full for a while; a file rots."""
        kind = self.random.choices(("kill", "freeze", "hang", "full", "rot"), (4, 4, 2, 1, 2))[0]
        self.log.append(f"{self.now:7.2f} {kind} {process.machine}.{process.pid} at {what}")
        if kind == "kill":
            self.kill(process)
            raise Killed
        if kind == "freeze":
            # One that stands still for good before it has a lease is waited for: it may be on its way.
            seconds = self.random.choice((2.0, LOST - 1, LOST + 3, 4 * LOST, 1e9 if process.leased else LOST))
            process.frozen = self.now + seconds * self.random.random()
            process.stood |= seconds >= LOST - 1
        elif kind == "hang":
            seconds = self.random.choice((1.0, LOST))
            process.stood |= seconds == LOST
            self.pause(seconds * self.random.random())
        elif kind == "full":
            self.full = self.now + 5 * self.random.random()
        elif places := [place for place in self.files if place[1] in (LEFT, RESULT, CHECKPOINT)]:
            self.rot(*self.random.choice(places))

    def rot(self, folder: str, name: str) -> None:
        """A file is cut, or zeros; or a result says another number."""
        text, time = self.files[folder, name]
        forms = [text[:-3], "0" * len(text), *([text.replace('"sum": ', '"sum": 1')] if name == RESULT else [])]
        self.files[folder, name] = (self.random.choice(forms), time)
        self.rotten.add(folder)
        self.finished.pop(folder, None)

    def kill(self, process: Process) -> None:
        """End a process at once, and its children within a second or two."""
        process.alive = False
        for thread in process.threads:
            self.wake(thread, self.now)
        for child in process.children:
            ender = Process(0, child.machine)
            self.start(ender, lambda child=child: self.kill(child), self.now + 2 * self.random.random())

    def holds(self, folder: str) -> bool:
        """Whether the process that goes on has the lease of a folder."""
        names = [name for at, name in self.files if at == folder and name.startswith(NAME)]
        last = max(names, key=lambda name: int(name[len(NAME) :]), default="")
        return bool(last) and json.loads(self.files[folder, last][0])["pid"] == self.current.process.pid

    def may_write(self, folder: str) -> bool:
        """Whether who goes on has a folder's lease, or its own command has just taken that away."""
        return folder in self.stopped or self.holds(folder)

    def wrote(self, folder: str, name: str, text: str, began: float) -> None:
        """What says how a stage ended comes from who has its lease, and a result once, and the right one.

        Who stood still between its last look at the lease and the writing may come late: then it is the same result,
        and may be written once more by who had begun before that.
        """
        late = self.now - began > 1
        if name in (RESULT, STATUS) and self.current.process.works and not (late or self.may_write(folder)):
            raise Violation(f"{name} of {folder} is written by a process that has lost it")
        if name != RESULT:
            return
        once_more = self.finished.get(folder) == text and (late or folder in self.came_late)
        if folder in self.finished and folder not in self.rotten and not once_more:
            raise Violation(f"{folder} has another result, or the same once more: {text}")
        if json.loads(text)["metrics"]["sum"] != self.sums[folder]:
            raise Violation(f"{folder} is {self.sums[folder]}, and came to {text}")
        self.finished[folder] = text
        if late:
            self.came_late.add(folder)

    def check_taken(self, folder: str, name: str) -> None:
        """A lease is taken away from nobody who is alive and touches it."""
        text, _ = self.files.get((folder, name), ("", 0.0))
        owner = self.processes[json.loads(text)["pid"] - 1] if text else self.current.process
        if owner in self.current.process.children:
            self.stopped.add(folder)
            self.came_late.add(folder)
        elif owner is not self.current.process and owner.alive and not owner.stood:
            raise Violation(f"{name} of {folder} is taken from process {owner.pid}, which works")

    def removed(self, folder: str, name: str) -> None:
        """A result is gone: only where it was damaged."""
        if name == RESULT and folder in self.finished:
            if folder not in self.rotten:
                raise Violation(f"the result of {folder} was lost")
            del self.finished[folder]


@dataclass(frozen=True)
class Files(Shelf):
    """A folder of the world."""

    world: World
    folder: str

    def make(self, name, text):
        self.world.touch(f"make {self.folder}/{name}")
        if (self.folder, name) in self.world.files:
            return False
        self.world.files[self.folder, name] = (text, self.world.now)
        self.world.current.process.leased = True
        return True

    def write(self, name, text):
        began = self.world.now
        self.world.touch(f"write {self.folder}/{name}")
        self.world.files[self.folder, name] = (text, self.world.now)
        self.world.wrote(self.folder, name, text, began)

    def note(self, name, text):
        self.world.touch(f"note {self.folder}/{name}")
        self.world.files[self.folder, name] = (text, self.world.now)

    def touch(self, name):
        self.world.touch(f"touch {self.folder}/{name}")
        if (self.folder, name) not in self.world.files:
            return False
        self.world.files[self.folder, name] = (self.world.files[self.folder, name][0], self.world.now)
        return True

    def remove(self, name):
        began = self.world.now
        self.world.touch(f"remove {self.folder}/{name}")
        if name.startswith(NAME) and self.world.now - began < 1:
            self.world.check_taken(self.folder, name)
        if self.world.files.pop((self.folder, name), None) is not None:
            self.world.removed(self.folder, name)

    def read(self, name):
        self.world.touch(f"read {self.folder}/{name}")
        return self.world.files.get((self.folder, name))

    def size(self, name):
        left = self.world.files.get((self.folder, name))
        return None if left is None else len(left[0])

    def names(self, beginning=""):
        self.world.touch(f"names {self.folder}")
        return [name for folder, name in self.world.files if folder == self.folder and name.startswith(beginning)]

    def now(self):
        return self.world.now


@dataclass(frozen=True)
class Kept(Journal):
    """A journal in the world's files."""

    world: World = None

    def shelf(self, stage_id=""):
        return Files(self.world, stage_id)


@dataclass(frozen=True)
class Plain(Toy):
    """A toy whose result does not say how often it was begun; one that `fails` raises an exception each time."""

    fails: bool = False
    alike: str = ""

    def company(self, device):
        return self.alike

    def run(self, bench: Bench) -> Result:
        if self.fails:
            raise ValueError("it cannot be done")
        try:
            return Result("finished", "", {"sum": super().run(bench).metrics["sum"]}, {}, {})
        except json.JSONDecodeError:
            # Its own checkpoint rots: it begins anew.
            bench.journal.discard(self.id, CHECKPOINT)
            return self.run(bench)


class Whole(Future):
    """What the stages of a worker process come to; to cancel it is to kill that."""

    def __init__(self, world: World, process: Process) -> None:
        super().__init__()
        self.world, self.process = world, process

    def cancel(self):
        self.world.kill(self.process)
        return True


@dataclass
class Worker:
    """A worker as `Processes.cancel` sees it."""

    last: Whole

    @property
    def pids(self):
        return [self.last.process.pid] if self.last.process.alive else []


class Simulated(Workers):
    """Worker processes of a command, one for each company of up to `together` stages."""

    prompt = True

    def __init__(self, world: World, command: Process, journal: Kept, together: int, turns: random.Random) -> None:
        self.world, self.command, self.journal = world, command, journal
        self.together, self.turns = together, turns
        self.workers: list[Worker] = []

    @property
    def most(self):
        return self.together

    def submit(self, stage, device):
        return self.submit_all([stage], device)[0]

    def submit_all(self, stages, device):
        process = self.world.process(self.command.machine)
        whole, ends, alone = Whole(self.world, process), {}, len(stages) == 1
        self.command.children.append(process)
        self.workers.append(Worker(whole))
        process.works = True

        def work(stage):
            try:
                ends[stage.id] = perform(stage, self.journal, device, None if alone else mock.sentinel.seat)
            except OSError as error:
                ends[stage.id] = error
            if len(ends) == len(stages):
                process.alive = False
                told = [ends[stage.id] for stage in stages]
                if not alone:
                    whole.set_result(told)
                elif isinstance(told[0], OSError):
                    whole.set_exception(told[0])
                else:
                    whole.set_result(told[0])

        for stage in stages:
            # Each of several has to wait for its turn.
            at = self.world.now if alone else self.world.now + self.turns.choice((0.0, 0.1, 3.0))
            self.world.start(process, lambda stage=stage: work(stage), at)
        beside: list[Share] = []
        return [whole] if alone else [Share(stage, whole, beside) for stage in stages]

    def over(self, future):
        whole = future.whole if isinstance(future, Share) else future
        return future.done() or whole.done() or not whole.process.alive

    def status(self, future):
        if not (future.whole if isinstance(future, Share) else future).done():
            raise WorkerDied("killed")
        return future.result()

    def cancel(self, future):
        Processes.cancel(self, future)

    def close(self):
        for worker in self.workers:
            if worker.last.process.alive:
                self.world.kill(worker.last.process)


class History:
    """Some stages, some commands that want them, and what befalls these.

    Workers run up to `together` stages side by side, of which each can with most.
    """

    def __init__(self, seed: int, together: int = 1) -> None:
        self.world = world = World(seed)
        self.together, self.turns = together, random.Random(seed)
        choose = world.random
        names = [f"s{i}" for i in range(choose.randint(2, 5))]
        self.stages: dict[str, Plain] = {}
        for i, name in enumerate(names):
            needs = tuple(sorted(choose.sample(names[:i], choose.randint(0, min(i, 2)))))
            steps, seconds = choose.randint(1, 3), choose.choice((0.1, 1.0, 4.0))
            self.stages[name] = Plain(name, needs, steps, seconds, choose.random() < 0.05, self.turns.choice("aaab"))
        world.sums = {}
        for name, stage in self.stages.items():
            world.sums[name] = sum(world.sums[need] for need in stage.needs) + 1
        self.journal = Kept(Path("journal"), world)

    def command(self, machine: str, wanted, devices: int, at: float) -> None:
        """A command that begins then."""
        process, stages = self.world.process(machine), self.closed(wanted)

        def work():
            command = Dispatch(self, self.journal, ["cpu"] * devices)
            try:
                command.add(stages)
                for event in command.run():
                    self.world.log.append(f"{self.world.now:7.2f} {process.pid} {event.kind} {event.stage.id}")
            except OSError as error:
                self.world.log.append(f"{self.world.now:7.2f} {process.pid} ended by {error}")
            process.alive = False

        self.world.start(process, work, at)

    def start(self, journal, devices):
        """A launcher's: workers of the command that asks."""
        return Simulated(self.world, self.world.current.process, self.journal, self.together, self.turns)

    def closed(self, wanted):
        """These stages with all that they need, in order."""
        needed = set(wanted)
        for name in reversed(self.stages):
            if name in needed:
                needed |= set(self.stages[name].needs)
        return [stage for name, stage in self.stages.items() if name in needed]

    def run(self) -> None:
        """Run some commands through all that befalls them, and then a few in quiet; Violation of a promise."""
        world, choose = self.world, self.world.random
        with engine_in(world):
            for _ in range(choose.randint(1, 3)):
                wanted = choose.sample(list(self.stages), choose.randint(1, len(self.stages)))
                self.command(choose.choice("AB"), wanted, choose.randint(1, 2), 20 * choose.random())
            world.run()
            world.trouble, world.full, world.now = 0.0, 0.0, max(world.now, QUIET)
            # A stage that finds what it needs damaged twice has failed until the next command.
            for _ in range(MORE):
                began = world.now
                self.command("A", list(self.stages), 2, began)
                world.run()
                if world.now - began > LONGEST / 2:
                    raise Violation("it took too long in quiet")
            world.start(world.process("A"), self.check, world.now + LOST + 1)
            world.run()

    def check(self) -> None:
        """What there is at the end: each stage has its result, and no lease is held; but for those that fail, and what
        needs them."""
        failing: set[str] = set()
        for name, stage in self.stages.items():
            if stage.fails or failing & set(stage.needs):
                failing.add(name)
                if self.journal.result(name) is not None:
                    raise Violation(f"{name} cannot have a result")
            elif (result := self.journal.result(name)) is None:
                raise Violation(f"{name} has no result: {self.journal.damage(name) or self.journal.failure(name)}")
            elif result.metrics["sum"] != self.world.sums[name] or not self.journal.has(name, LEFT):
                raise Violation(f"{name} came to {result.metrics}")
            if self.journal.holder(name) is not None:
                raise Violation(f"{name} is held by nobody's process")


class Event:
    """An event of threads."""

    def __init__(self, world: World) -> None:
        self.world, self.happened = world, False
        self.waiting: Thread | None = None

    def set(self):
        self.happened = True
        if self.waiting is not None and self.world.current.process.alive:
            self.world.wake(self.waiting, self.world.now)

    def wait(self, seconds):
        if not self.happened:
            self.waiting = self.world.current
            self.world.pause(seconds)
            self.waiting = None
        return self.happened


@contextmanager
def engine_in(world: World):
    """The engine's clock, threads and processes are the world's."""

    class Begun:
        def __init__(self, target, args, daemon):
            self.target, self.args = target, args

        def start(self):
            self.thread = world.start(world.current.process, lambda: self.target(*self.args))

        def is_alive(self):
            return not self.thread.over

        def join(self, seconds):
            until = world.now + seconds
            while not self.thread.over and world.now < until:
                world.pause(0.01)

    def here():
        process = world.current.process
        world.count += 1
        return Holder(process.machine, process.machine, process.pid, str(process.pid), str(world.count))

    def started(pid):
        return str(pid) if world.processes[pid - 1].alive else ""

    clock = mock.Mock(monotonic=lambda: world.now, sleep=world.pause)
    threads = mock.Mock(Event=lambda: Event(world), Thread=Begun)
    changes = [
        (lease, {"time": clock, "threading": threads, "LOST": LOST, "RENEWED": RENEWED}),
        (lease, {"_machine": lambda: world.current.process.machine, "_started": started}),
        (lease.Holder, {"here": staticmethod(here)}),
        (engine_stage, {"time": clock}),
        (toys, {"time": clock}),
        (
            dispatch,
            {
                "time": clock,
                "LOST": LOST,
                "BEGUN": 10 * LOST,
                "WATCH_SECONDS": 2.0,
                "POLL_SECONDS": 0.5,
                "ELSEWHERE_SECONDS": 1.0,
            },
        ),
        (dispatch, {"wait": lambda futures, seconds, when: world.pause(seconds)}),
    ]
    patches = [mock.patch.multiple(module, **names) for module, names in changes]
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in reversed(patches):
            patch.stop()
