"""A command leaves the seeds of other kinds of machine to them, and runs them where there is nothing else to do."""

from types import SimpleNamespace

from ablations.driver.following import OtherKinds
from ablations.engine.queue import Queue, Waiting


def stage(name, seed, *needs, of_cell=True):
    return SimpleNamespace(id=name, needs=needs, cell=SimpleNamespace(seed=seed), of_cell=of_cell, trains=of_cell)


def journal(**kinds):
    """The results of stages, by the kind of machine that made each."""
    results = {name: SimpleNamespace(metadata={"machine": kind} if kind else {}) for name, kind in kinds.items()}
    return SimpleNamespace(result=results.get)


TRAININGS = {name: stage(name, seed) for name, seed in (("a0", 0), ("b0", 0), ("c0", 0), ("a1", 1), ("b1", 1))}


def of(own, **kinds):
    return OtherKinds(own, journal(**kinds), TRAININGS.values())


def test_a_stage_is_for_the_kind_that_made_what_it_needs():
    kinds = of("X", a0="Y", a1="X", b1="Y", c0="X", b0="X")
    assert kinds.late(stage("bound", 0, "a0"))
    assert not kinds.late(stage("bound", 1, "a1"))
    assert kinds.late(stage("both", 1, "a1", "b1"))


def test_a_seed_is_for_the_kind_that_has_more_of_its_results():
    assert of("X", a0="Y").late(TRAININGS["b0"])
    assert not of("X", a0="Y").late(TRAININGS["a1"])
    assert not of("X", a0="Y", b0="X").late(TRAININGS["c0"])
    kinds = of("X", a0="Y", b0="X", c0="Y")
    assert kinds.late(stage("d0", 0))
    for new in (stage("e0", 0), stage("f0", 0)):
        kinds.journal = journal(e0="X", f0="X")
        kinds.note(new)
    assert not kinds.late(stage("d0", 0))


def test_results_that_do_not_say_what_made_them_and_stages_of_no_cell_are_for_anyone():
    assert not of("X", a0="").late(TRAININGS["b0"])
    assert not of("X", a0="Y").late(stage("floor", 0, of_cell=False))


def test_where_workers_are_of_several_kinds_nothing_is_late():
    assert not of("", a0="Y").late(TRAININGS["b0"])


def test_late_stages_start_last_and_yet_start():
    kinds = of("X", a0="Y")
    queue = Queue(kinds.late)
    for i, (name, seed) in enumerate((("b0", 0), ("c0", 0), ("a1", 1), ("b1", 1))):
        queue.add(Waiting.of(stage(name, seed), 1, i))
    assert [waiting.stage.id for waiting in queue.ready(3)] == ["a1", "b1", "b0"]
    assert [waiting.stage.id for waiting in queue.ready(9)] == ["a1", "b1", "b0", "c0"]
    for name in ("a1", "b1"):
        del queue.waiting[name]
    assert [waiting.stage.id for waiting in queue.ready(1)] == ["b0"]
