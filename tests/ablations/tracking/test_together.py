"""Two commands with results folders of their own deliver one grid to one store: each run is there once and whole."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from PIL import Image

from ablations.tracking import mlflow_store
from ablations.tracking.mlflow_client import TrackingError
from ablations.tracking.mlflow_images import log_sheet
from ablations.tracking.mlflow_runs import Tracked
from ablations.tracking.mlflow_store import Tracker
from ablations.tracking.mlflow_summary import description
from tests.analysis.folders import make_folder

LOSS = "train/network"


@pytest.fixture
def two(store, tmp_path):
    """The trackers of two commands, which have looked at an empty experiment."""
    shutil.copy(store, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    made = [Tracker(uri, "seen", tmp_path / host / ".artifacts") for host in ("a", "b")]
    for one in made:
        one.artifacts.parent.mkdir()
        assert one.runs == {}
    return made


def cell(*at, status="finished", params=None, **metrics):
    tags = {"kind": "cell", "cell_id": "0" * 12, "seed": "0", "status": status}
    curve = [(LOSS, float(step), 1 / step) for step in at]
    return Tracked(tags, params or {"cell": "baseline", "horizon": "25"}, metrics, curve)


def runs_of(tracker, kind="cell"):
    return tracker.client.search_runs([tracker.experiment_id], f"tags.kind = '{kind}'")


def is_there(tracker, run):
    """The one run that there is, with every number of `run` once."""
    (found,) = runs_of(tracker)
    assert (found.info.status, found.data.tags["content"]) == ("FINISHED", run.content)
    assert found.data.params == run.params
    for name, value in run.metrics.items():
        assert [point.value for point in tracker.client.get_metric_history(found.info.run_id, name)] == [value]
    points = tracker.client.get_metric_history(found.info.run_id, LOSS)
    assert Counter((point.step, point.value) for point in points) == Counter((int(x), y) for _, x, y in run.curves)
    return found.info.run_id


NUMBERS, END = "log_batch", "set_terminated"
"""What a delivery asks of MLflow's client: first for a run's numbers, at last for its end."""


def meanwhile(monkeypatch, name, act):
    """Let `act` happen before MLflow's client is asked for the first time for what is called `name`."""
    real, left = getattr(MlflowClient, name), [act]

    def interleaved(self, *given, **named):
        if left:
            left.pop()()
        return real(self, *given, **named)

    monkeypatch.setattr(MlflowClient, name, interleaved)


def killed():
    raise KeyboardInterrupt


@pytest.mark.parametrize("before", [NUMBERS, END])
@pytest.mark.parametrize("more", [{}, {"b": 2.0}], ids=["the same", "a metric more"])
def test_a_run_that_another_command_is_just_delivering_is_completed_by_both(before, more, two, monkeypatch):
    first, second = two
    seen = []

    def deliver():
        seen.append(second.runs[("0" * 12, "0")].run_id)
        assert first._publish(cell(20, 40, a=1.0, **more))

    meanwhile(monkeypatch, before, deliver)
    assert second._publish(cell(20, 40, a=1.0, **more))
    assert seen == [is_there(first, cell(20, 40, a=1.0, **more))]


def test_a_shown_run_that_two_complete_at_once_has_each_point_once(two, monkeypatch):
    first, second = two
    assert first.show(cell(status="running"), {LOSS: [(20.0, 1 / 20)]}, {})
    second.forget()
    assert len(second.runs) == 1
    assert first.show(cell(status="running"), {LOSS: [(20.0, 1 / 20), (40.0, 1 / 40)]}, {})
    meanwhile(monkeypatch, END, lambda: first._publish(cell(20, 40, 60, a=1.0)))
    assert second._publish(cell(20, 40, 60, a=1.0))
    is_there(first, cell(20, 40, 60, a=1.0))


def test_a_run_that_is_deleted_while_it_is_delivered_is_delivered_again(two, monkeypatch):
    first, second = two
    lost = []

    def delete():
        lost.append(second.runs[("0" * 12, "0")].run_id)
        first.client.delete_run(lost[0])

    meanwhile(monkeypatch, NUMBERS, delete)
    assert second._publish(cell(20, a=1.0))
    assert is_there(first, cell(20, a=1.0)) not in lost


def test_a_run_that_is_deleted_while_it_is_shown_is_shown_again(two):
    first, second = two
    assert first.show(cell(status="running"), {LOSS: [(20.0, 0.5)]}, {})
    second.client.delete_run(runs_of(second)[0].info.run_id)
    first.leave(("0" * 12, "0"))
    assert first.show(cell(status="running"), {LOSS: [(20.0, 0.5)]}, {"system/use": 1.0})
    (found,) = runs_of(second)
    assert (found.info.status, found.data.metrics) == ("RUNNING", {LOSS: 0.5, "system/use": 1.0})


def test_a_run_that_another_grid_called_otherwise_is_taken_up(two):
    """Its cell is the same, which stands under other levels there."""
    first, second = two
    assert first.show(cell(status="running", params={"cell": "other"}), {LOSS: [(20.0, 1 / 20)]}, {})
    first.leave(("0" * 12, "0"))
    assert second.show(cell(status="running"), {LOSS: [(20.0, 1 / 20), (40.0, 1 / 40)]}, {})
    assert second._publish(cell(20, 40, a=1.0))
    is_there(second, cell(20, 40, a=1.0))


def test_a_store_that_refuses_is_not_asked_again(two, monkeypatch):
    def refused(*given, **named):
        calls.append(given)
        raise MlflowException("refused")

    calls = []
    monkeypatch.setattr(MlflowClient, NUMBERS, refused)
    with pytest.raises(MlflowException, match="refused"):
        two[0]._publish(cell(20, a=1.0))
    assert len(calls) == 1


def test_what_a_killed_command_has_delivered_in_part_is_completed_by_a_later_one(two, monkeypatch):
    first, second = two
    meanwhile(monkeypatch, END, killed)
    with pytest.raises(KeyboardInterrupt):
        first._publish(cell(20, 40, a=1.0))
    (half,) = runs_of(second)
    assert second._publish(cell(20, 40, a=1.0))
    assert is_there(second, cell(20, 40, a=1.0)) == half.info.run_id


@pytest.mark.parametrize("other", [cell(20, a=2.0), cell(20, a=1.0, params={"cell": "other"})], ids=["value", "choice"])
def test_what_it_left_of_other_results_is_replaced(other, two, monkeypatch):
    first, second = two
    meanwhile(monkeypatch, END, killed)
    with pytest.raises(KeyboardInterrupt):
        first._publish(other)
    assert second._publish(cell(20, a=1.0))
    is_there(second, cell(20, a=1.0))


def test_what_is_over_is_not_shown_where_it_was_not_there_a_moment_ago(two, monkeypatch):
    first, second = two
    assert first._publish(cell(20, a=1.0))
    with monkeypatch.context() as patch:
        find, looks = mlflow_store.find, [None]
        patch.setattr(mlflow_store, "find", lambda *given: looks.pop() if looks else find(*given))
        assert not second.show(cell(status="running"), {LOSS: [(20.0, 0.5)]}, {})
    is_there(first, cell(20, a=1.0))


def test_a_whole_run_that_nobody_has_ended_is_ended(two):
    first, second = two
    assert first._publish(cell(20, a=1.0))
    (found,) = runs_of(first)
    second.forget()
    first.client.update_run(found.info.run_id, status="RUNNING")
    assert second._publish(cell(20, a=1.0))
    is_there(first, cell(20, a=1.0))


@pytest.fixture
def folder(tmp_path):
    return told(tmp_path)


def told(place, best="μ", **more):
    """A results folder whose answer is this one of μ and ε."""
    values = {"μ": [2.5, 2.6, 2.4], "ε": [2.5, 2.6, 2.4]} | {best: [2.1, 2.2, 2.0]}
    return make_folder(place / "seen", values, name="seen", question="What?", relevant={"nll": 0.01}, **more)


@pytest.mark.parametrize(
    ("damage", "said"),
    [(None, "\n\n- NLL: μ is the best of 2, 2.10 ± 0.25 bits/dim."), ("cell_id", "")],
    ids=["whole", "cut"],
)
def test_experiment_and_summary_are_described_by_the_question_and_its_answers(damage, said, two, folder):
    if damage is not None:
        (folder / "runs.csv").write_text(damage, encoding="utf-8")
    first, _ = two
    run = first.client.get_run(first.summarise(folder).run)
    note = run.data.tags["mlflow.note.content"]
    assert note.startswith(f"**What?**{said}\n\n[charts](#/experiments/{first.experiment_id}/runs?")
    assert first.client.get_experiment(first.experiment_id).tags["mlflow.note.content"] == note
    assert run.data.tags["mlflow.source.name"] == "ablations.run"


ROUND = {"number": 1, "of": 2, "seeds": 3, "finished": 6, "trainings": 12}


def test_a_description_with_an_answer_stays_until_there_is_another(two, folder):
    """A command goes on with what was answered: at its beginning, and after a round before its last, nothing is."""
    first, second = two

    def note():
        return first.client.get_experiment(first.experiment_id).tags["mlflow.note.content"]

    def summarised(best, *, preliminary):
        second.summarise(told(folder.parent, best, round=ROUND | {"preliminary": preliminary}))

    summarised("μ", preliminary=True)
    assert "μ leads in NLL" in note()
    summarised("μ", preliminary=False)
    second.introduce("What?", {})
    summarised("ε", preliminary=True)
    assert "μ is the best of 2" in note()
    summarised("ε", preliminary=False)
    assert "ε is the best of 2" in note()
    first.introduce("What else?", {})
    assert note() == "**What else?**"


def test_a_description_holds_no_markup_of_the_folder_that_it_describes():
    evil = "<img src=http://a.b> ![x](http://a.b) *bold*"
    shown = r"&lt;img src=http://a.b> !\[x\](http://a.b) \*bold\*"
    assert description(evil, [evil], {"charts": "#/here"}) == f"**{shown}**\n\n- {shown}\n\n[charts](#/here)"


def test_of_summaries_that_two_deliver_at_once_one_stays(two, folder, monkeypatch):
    first, second = two
    old = first.summarise(folder).run
    log, left, made = MlflowClient.log_artifact, [second, first], []

    def interleaved(self, *given):
        if left:
            made.append(left.pop().summarise(folder).run)
        log(self, *given)

    monkeypatch.setattr(MlflowClient, "log_artifact", interleaved)
    made.append(second.summarise(folder).run)
    (found,) = runs_of(first, "summary")
    assert found.info.run_id == made[-1]
    assert found.info.run_id != old
    assert found.info.status == "FINISHED"


def test_a_command_that_stops_trying_says_that_its_run_was_deleted(two, monkeypatch):
    first, second = two
    real = MlflowClient.log_batch

    def deleted(self, run_id, *given, **named):
        first.client.delete_run(run_id)
        real(self, run_id, *given, **named)

    monkeypatch.setattr(MlflowClient, NUMBERS, deleted)
    with pytest.raises(TrackingError, match="deleted"):
        mlflow_store.guard(second.uri, lambda: second._publish(cell(20, a=1.0)))


def test_a_tag_that_another_command_writes_at_the_same_moment_is_no_failure(two, tmp_path, monkeypatch):
    """MLflow looks for a tag and then adds it: between the two, another command's is there."""
    first, _ = two
    run_id = first.client.create_run(first.experiment_id).info.run_id
    Image.new("L", (8, 8)).save(tmp_path / "sheet.png")
    written = MlflowClient.set_tag
    calls = []

    def meets(client, *given):
        calls.append(given)
        if len(calls) == 1:
            raise MlflowException("UNIQUE constraint failed: tags.key, tags.run_uuid")
        return written(client, *given)

    monkeypatch.setattr(MlflowClient, "set_tag", meets)
    log_sheet(first.client, run_id, tmp_path / "sheet.png", "samples", 40)
    assert len(calls) == 2
    assert first.client.get_run(run_id).data.tags["mlflow.loggedImages"] == "True"
