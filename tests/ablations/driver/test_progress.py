"""What a bar shows of stages that are run; into a pipe it is lines, and one comes now and then."""

from __future__ import annotations

import pytest

from ablations.driver.progress import StageProgress, bar
from ablations.engine.journal import Journal
from ablations.engine.stage import Event
from ablations.stages.artifacts import write_history
from ablations.stages.training import TrainingStage
from tests.ablations.conftest import TINY, plan_of


@pytest.fixture
def clock(monkeypatch):
    """The seconds that a test says it is."""
    now = [1000.0]
    for module in ("time", "rich.console"):
        monkeypatch.setattr(f"{module}.monotonic", lambda: now[0])
    return now


def test_into_a_pipe_a_line_comes_now_and_then(clock, capsys):
    with bar("mine", 1.0) as shown:
        for share in range(100):
            clock[0] += 1
            shown.tell(f"seed {share}: training, loss 0.12")
            shown.move_to(share / 100)
    lines = [" ".join(line.split()) for line in capsys.readouterr().err.splitlines()]
    assert len(lines) == 5
    assert lines[0] == "mine 0% 0:00:01 elapsed -:--:-- left seed 0: training, loss 0.12"
    assert lines[-2].endswith("0:01:34 elapsed 0:00:07 left seed 93: training, loss 0.12")


class Shown(list):
    """A bar that keeps how far it was, and what it was told."""

    told = ""

    def move_to(self, done, total):
        self.append(done / total)

    def tell(self, text):
        self.told = text


def test_a_stage_under_way_is_named_by_its_seed_with_the_last_loss(tmp_path, clock):
    found, shown = plan_of(*TINY, "parameterization=epsilon,v"), Shown()
    following = StageProgress(shown, Journal(tmp_path))
    following.add(found.stages())
    first, second = [stage for stage in found.stages() if isinstance(stage, TrainingStage)]
    following.journal.folder(first.id).mkdir(parents=True)
    write_history(following.journal.folder(first.id), [{"step": 20.0, "seconds": 1.0, "train/network": 0.12345}])
    following.note(Event("progress", first, 0.5))
    assert shown.told == "seed 0: training, loss 0.123"
    for share in (0.5, 0.75, 0.6):
        clock[0] += 10
        following.note(Event("progress", second, share))
    assert shown.told == "seed 0: training"
    for stage in (first, second):
        following.note(Event("ended", stage, 1.0, "finished"))
    assert shown == sorted(shown), "it never goes back"


def test_what_is_left_goes_by_the_rate_so_far_without_what_an_earlier_command_did(tmp_path, clock, capsys):
    found, journal = plan_of(*TINY), Journal(tmp_path)
    training = next(stage for stage in found.stages() if isinstance(stage, TrainingStage))
    journal.folder(training.id).mkdir(parents=True)
    journal.write_progress(training.id, 0.5)
    with bar("tiny", 1.0) as shown:
        following = StageProgress(shown, journal)
        following.add([training])
        following.note(Event("started", training))
        for share in (0.6, 0.7):
            clock[0] += 60
            following.note(Event("progress", training, share))
        shown.write("a line\nof its own")
    lines = [" ".join(line.split()) for line in capsys.readouterr().err.splitlines()]
    assert "a line of its own" in lines
    assert lines[-1].startswith("tiny 70% ")
    assert "0:03:0" in lines[-1]


def test_every_kind_of_stage_says_what_it_does():
    more = ["space=latents", "space.f=2", "variance=analytic", "evaluation.metrics=[mmd]", "evaluation.rungs=1"]
    told = {stage.doing for stage in plan_of(*TINY, *more).stages()}
    assert len(told) > 5
    assert all(told)
