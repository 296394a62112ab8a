"""A stage far from its journal comes to the same as one beside it, whatever is cut off, taken away or damaged."""

from __future__ import annotations

import os

import pytest

from ablations.engine import parcels
from ablations.engine.files import BEFORE, CHECKPOINT, FORK
from ablations.engine.journal import Journal
from ablations.engine.lease import LOST, LeaseLost, holder, leased, take
from ablations.engine.parcels import Changes, Desk, packed, performed
from ablations.engine.perform import perform
from tests.ablations.engine.toys import LEFT, Toy, toy


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(parcels, "SECONDS", 0.01)


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "journal")


def ran_far(journal, stage, parcel=None):
    """Run a stage far away, all that it leaves being taken; its status."""
    desk = Desk(journal, stage)
    assert desk.open()
    try:
        for changes in performed(stage, packed(journal, stage) if parcel is None else parcel, "cpu"):
            desk.take(changes)
    finally:
        desk.close()
    return changes.status


def names(journal, stage_id):
    return sorted(path.name for path in journal.folder(stage_id).iterdir())


def test_it_comes_to_what_it_does_beside_its_journal(tmp_path, journal):
    here = Journal(tmp_path / "here")
    for stage in (Toy("a", seconds=0.02), toy("b", "a"), Toy("c", ("a", "b"), seconds=0.01)):
        assert perform(stage, here, "cpu") == ran_far(journal, stage) == "finished"
        assert journal.result(stage.id) == here.result(stage.id)
        assert names(journal, stage.id) == names(here, stage.id)


def test_what_it_left_before_it_was_cut_off_comes_with_it_the_next_time(journal):
    stage, desk = Toy("a", steps=50, seconds=0.02), Desk(journal, Toy("a"))
    assert desk.open()
    far = performed(stage, {}, "cpu")
    while not journal.has("a", CHECKPOINT):
        desk.take(next(far))
    far.close()
    desk.close()
    assert journal.result("a") is None
    assert ran_far(journal, stage) == "finished"
    assert journal.result("a").metrics["begun"] >= 1
    assert not journal.has("a", CHECKPOINT)


def test_states_that_it_may_go_on_from_come_with_it_where_they_are_there(journal):
    class Reading(Toy):
        reads = ("a", "nowhere")

    assert perform(Toy("a"), journal, "cpu") == "finished"
    assert packed(journal, Reading("b")) == {}
    journal.shelf("a").write(f"{FORK}5.safetensors", "a state")
    assert set(packed(journal, Reading("b"))) == {("a", f"{FORK}5.safetensors")}
    assert ran_far(journal, Reading("b")) == "finished"


def test_a_checkpoint_before_the_last_stays_where_it_is(journal):
    journal.shelf("a").write(BEFORE, "[0, 0]")
    assert packed(journal, Toy("a")) == {}


def test_what_it_finds_damaged_has_no_result_any_more(journal):
    assert perform(Toy("a"), journal, "cpu") == "finished"
    path = journal.folder("a") / LEFT
    path.write_bytes(b"0" * path.stat().st_size)
    assert ran_far(journal, toy("b", "a")) == "damaged"
    assert journal.result("a") is None
    assert journal.failure("b").message == f"a: {LEFT} has been altered"
    assert ran_far(journal, Toy("a")) == ran_far(journal, toy("b", "a")) == "finished"
    assert journal.failure("b") is None


def test_its_folder_is_its_own_until_it_is_closed(journal):
    desk, other = Desk(journal, Toy("a")), Desk(journal, Toy("a"))
    assert desk.open()
    assert not other.open()
    desk.take(Changes({("a", "x"): b"1"}))
    desk.close()
    assert holder(journal.shelf("a")) is None
    desk.take(Changes({("a", "x"): b"2"}))
    assert (journal.folder("a") / "x").read_bytes() == b"1"
    assert not desk.open(), "it is over"
    assert other.open()
    other.close()


def test_who_stood_still_leaves_nothing_in_a_folder_that_another_has_taken(journal):
    desk = Desk(journal, Toy("a"))
    assert desk.open()
    (path,) = journal.folder("a").glob("lease.*")
    then = path.stat().st_mtime - LOST - 1
    os.utime(path, (then, then))
    assert take(journal.shelf("a")) is not None
    with pytest.raises(LeaseLost, match="runs it now"):
        desk.take(Changes({("a", "result.json"): b"{}"}))
    assert names(journal, "a") == ["lease.2"]


def test_what_was_scored_on_the_way_is_left_where_no_other_process_scores_it(journal):
    desk = Desk(journal, Toy("a"))
    assert desk.open()
    with leased(journal.shelf("theirs")):
        desk.take(Changes({("ours", "result.json"): b"{}", ("theirs", "result.json"): b"{}"}))
    desk.close()
    assert names(journal, "ours") == ["result.json"]
    assert names(journal, "theirs") == []


def test_a_result_that_is_no_more_goes_though_another_process_is_in_its_folder(journal):
    for name in ("result.json", "x"):
        journal.shelf("theirs").write(name, "{}")
    desk = Desk(journal, Toy("a"))
    assert desk.open()
    with leased(journal.shelf("theirs")):
        desk.take(Changes(removed=(("theirs", "result.json"), ("theirs", "x"))))
    desk.close()
    assert names(journal, "theirs") == ["x"]


def test_a_stage_that_holds_another_has_its_folder_too(journal, monkeypatch):
    monkeypatch.setattr(Toy, "holds", ("trained",))
    desk = Desk(journal, Toy("a"))
    with leased(journal.shelf("trained")):
        assert not desk.open()
    desk.close()
    assert holder(journal.shelf("a")) is None
