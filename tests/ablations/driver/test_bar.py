"""What a bar shows of stages that are run; into a pipe it is lines, and one comes now and then, whatever is done."""

from __future__ import annotations

import time

import pytest

from ablations.driver import bar as bars
from ablations.driver.bar import bar, counting, in_steps, waiting
from ablations.driver.following import Following, names_of, told_of
from ablations.driver.pace import Pace
from ablations.engine.journal import Journal
from ablations.engine.stage import Event
from ablations.stages.artifacts import write_history
from ablations.stages.rung import RungStage
from ablations.stages.training import TrainingStage
from tests.ablations.driver.test_pace import RUNGS, planned, speeds


def test_a_line_comes_now_and_then_though_nothing_moves(monkeypatch, capsys):
    monkeypatch.setattr(bars, "LINE_SECONDS", 0.05)
    with bar("round 1 of 3", 1.0) as shown:
        shown.move_to(0.25)
        shown.left(184.0)
        shown.tell("ε, seed 0: training, loss 0.12")
        time.sleep(0.5)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "round 1 of 3 0% 0:00:00 elapsed"
    assert lines[1] == "round 1 of 3 25% 0:00:00 elapsed about 3 minutes left ε, seed 0: training, loss 0.12"
    assert len(lines) > 3


def test_what_is_left_is_not_said_while_it_is_not_known(capsys):
    with bar("trials", 9, done=2, counts=True) as shown:
        shown.left(None)
        shown.write("a line\nof its own")
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["trials 2 of 9 0:00:00 elapsed", "a line of its own", "trials 2 of 9 0:00:00 elapsed"]


def test_what_nobody_knows_the_end_of_shows_the_time_since(monkeypatch, capsys):
    monkeypatch.setattr(bars, "LINE_SECONDS", 0.05)
    with waiting("drawing the report"):
        time.sleep(0.3)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 3
    assert set(lines) == {"drawing the report 0:00:00 elapsed"}
    with counting("sampling", 1.0) as shown:
        shown.move_to(0.5)
    assert capsys.readouterr().err.splitlines()[-1].startswith("sampling 50% 0:00:00 elapsed")


@pytest.mark.parametrize(("seconds", "words"), [(0.2, "5 seconds"), (63.0, "65 seconds"), (200.0, "3 minutes")])
def test_what_is_left_is_said_about(seconds, words):
    assert in_steps(seconds) == words


class Shown:
    """A bar that keeps what it is told."""

    def __init__(self):
        self.share, self.seconds = [], []

    def move_to(self, share):
        self.share.append(share)

    def left(self, seconds):
        self.seconds.append(seconds)


@pytest.fixture
def followed(tmp_path):
    """A following of a plan by a clock of the test, and the plan's stages."""
    found = planned("seeds=2", "parameterization=epsilon,v", *RUNGS)
    clock = [0.0]
    pace = Pace(found.here.data, 2, speeds(found), lambda: clock[0])
    stages = found.stages()
    following = Following(Shown(), pace, stages, Journal(tmp_path), names_of(found), lambda: clock[0])
    return following, stages, clock


def test_stages_are_shown_in_turn_by_their_cell_and_seed_with_the_last_loss(followed):
    following, stages, clock = followed
    first, second = [stage for stage in stages if isinstance(stage, TrainingStage)][:2]
    for stage in (first, second):
        following.note(Event("started", stage))
    following.journal.folder(first.id).mkdir(parents=True)
    write_history(following.journal.folder(first.id), [{"step": 20.0, "seconds": 1.0, "train/network": 0.12345}])
    assert following.words() == "ε, seed 0: training, loss 0.123"
    clock[0] = 1.0
    assert following.words() == "ε, seed 0: training, loss 0.123"
    clock[0] = 5.0
    assert following.words() == "v, seed 0: training"
    clock[0] = 10.0
    assert following.words().startswith("ε, seed 0")
    for stage in (first, second):
        following.note(Event("ended", stage, 1.0, "finished"))
    assert following.words() == ""


def test_it_never_goes_back(followed, monkeypatch):
    following, stages, clock = followed
    first = next(stage for stage in stages if isinstance(stage, TrainingStage))
    for share in (0.0, 0.2, 0.5, 0.4):
        clock[0] += 2.0
        following.note(Event("progress" if share else "started", first, share))
    # Stages turn out to take longer than was believed.
    monkeypatch.setattr(following.pace, "share", lambda stages: 0.0)
    following.look()
    shown = following.shown
    assert shown.share == sorted(shown.share)
    assert shown.share[-1] > 0
    assert all(seconds > 0 for seconds in shown.seconds)


def test_every_kind_of_stage_says_what_it_does(tmp_path):
    found = planned("seeds=1", "parameterization=v", "space=latents", "space.f=2", "variance=analytic", *RUNGS)
    told = [stage.doing for stage in found.stages()]
    assert len(set(told)) > 5
    more = planned("seeds=1", "parameterization=v", *RUNGS, "evaluation.metrics=[mmd]")
    rungs = [stage for stage in more.stages() if isinstance(stage, RungStage)]
    assert [stage.doing for stage in rungs][:1] == ["bound at step 160"]
    lead = next(iter(more.planned[0].stages[0].scored))
    assert "judged by mmd" in [stage.doing for stage in more.stages()]
    assert told_of(lead, "v, seed 0", Journal(tmp_path)).startswith("v, seed 0: ")
