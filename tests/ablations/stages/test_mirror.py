"""A journal on an object store: what is there is true, whoever has copies, and a few requests tell of many stages."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time

import pytest
import torch

from ablations import run
from ablations.engine.files import Damaged
from ablations.engine.journal import Failure, Journal, Result
from ablations.engine.lease import leased
from ablations.stages import bucket as module
from ablations.stages import listing
from ablations.stages.artifacts import (
    Checkpoint,
    read_artifact,
    read_checkpoint,
    read_history,
    write_artifact,
    write_checkpoint,
    write_history,
)
from ablations.stages.bucket import Bucket, bucket_at
from ablations.stages.opening import journal_at, journal_of
from analysis.format.errors import InputError
from tests.object_store import JOURNAL, NOW, Kept
from tests.sampling import sampled

pytestmark = pytest.mark.slow

DONE = Result("finished", "", {"nll/test": 2.0}, {}, {"device": "cpu"})


@pytest.fixture
def caches(tmp_path, monkeypatch):
    """name → the user's cache is another one from now on, as on another machine."""

    def use(name):
        monkeypatch.setenv("DIFFUSION_ABLATIONS_CACHE", str(tmp_path / name))

    use("here")
    return use


@pytest.fixture
def worker(object_store, caches):
    return journal_at(object_store.url)


@pytest.fixture
def driver(object_store, caches, tmp_path, monkeypatch):
    monkeypatch.setattr(listing, "SECONDS", 0.0)
    monkeypatch.setattr(listing, "REST", 0.0)
    return journal_of(tmp_path, object_store.url)


def test_what_a_worker_leaves_is_there_for_another_machine_and_the_result_last(worker, object_store, caches):
    worker.bring("a")
    for name in ("weights.safetensors", "metrics.jsonl", "checkpoint.safetensors", "progress", ".hidden"):
        (worker.folder("a") / name).write_text(f"{name} of a")
    worker.leave("a")
    assert worker.result("a") is None
    worker.write_result("a", DONE)
    assert sorted(object_store.objects()) == ["a/metrics.jsonl", "a/result.json", "a/weights.safetensors"]
    put = [key for method, key in object_store.store.of_keys if method == "PUT"]
    assert put[-1] == "a/result.json"
    caches("there")
    other = journal_at(object_store.url)
    assert other.result("a") == DONE
    assert (other.holding("a", "weights.safetensors") / "weights.safetensors").read_text() == "weights.safetensors of a"
    assert worker.folder("a") != other.folder("a")


def test_a_copy_is_fetched_once_and_anew_once_the_object_has_changed(worker, object_store):
    bucket_at(object_store.url).write("a/weights.safetensors", "old")
    assert (worker.holding("a", "weights.safetensors") / "weights.safetensors").read_text() == "old"
    assert (worker.holding("a", "weights.safetensors") / "weights.safetensors").read_text() == "old"
    got = [key for method, key in object_store.store.of_keys if method == "GET" and key]
    assert got == ["a/weights.safetensors"]
    bucket_at(object_store.url).write("a/weights.safetensors", "newer")
    assert (worker.holding("a", "weights.safetensors") / "weights.safetensors").read_text() == "newer"
    object_store.age("a/weights.safetensors", 5)
    worker.folder("a").joinpath("weights.safetensors").write_text("mended")
    assert (worker.holding("a", "weights.safetensors") / "weights.safetensors").read_text() == "newer", (
        "what is in the store is true"
    )


def test_what_a_worker_has_delivered_it_does_not_fetch_nor_deliver_again(worker, object_store):
    worker.bring("a")
    (worker.folder("a") / "weights.safetensors").write_text("here")
    worker.leave("a", "weights.safetensors")
    before = len(object_store.store.of_keys)
    worker.leave("a")
    assert (worker.holding("a", "weights.safetensors") / "weights.safetensors").read_text() == "here"
    assert {method for method, _ in object_store.store.of_keys[before:]} == {"GET"}
    assert not [key for _, key in object_store.store.of_keys[before:] if key], "listings alone"


def test_who_goes_on_has_what_the_store_has_and_nothing_of_an_earlier_try(worker, object_store, caches):
    worker.bring("a")
    reports = [{"step": 10, "seconds": 1.5}, {"step": 20, "seconds": 2.5}]
    write_history(worker.folder("a"), reports)
    write_checkpoint(worker.folder("a"), reports, {})
    worker.leave("a", "metrics.jsonl")
    worker.leave("a", "checkpoint.safetensors")
    caches("there")
    other = journal_at(object_store.url)
    other.folder("a").mkdir(parents=True)
    (other.folder("a") / "average-10.safetensors").write_text("of another life")
    other.bring("a")
    assert read_checkpoint(other.folder("a")) == Checkpoint(20, {}, tuple(reports))
    assert read_history(other.folder("a")) == reports
    assert sorted(path.name for path in other.folder("a").iterdir()) == ["checkpoint.safetensors", "metrics.jsonl"]
    other.discard("a", "checkpoint.safetensors")
    assert sorted(object_store.objects()) == ["a/metrics.jsonl"]


def test_a_finished_stage_that_lacks_a_file_on_the_store_is_as_good_as_not_there(worker, driver, object_store):
    worker.bring("a")
    write_artifact(worker.folder("a"), "weights.safetensors", {"w": torch.zeros(3)})
    worker.leave("a")
    worker.write_result("a", DONE)
    assert worker.result("a") == driver.result("a") == DONE
    bucket_at(object_store.url).remove("a/weights.safetensors")
    assert worker.result("a") is driver.result("a") is None
    assert driver.damage("a") == "weights.safetensors is missing"
    with pytest.raises(Damaged, match="is missing"):
        read_artifact(worker.holding("a", "weights.safetensors"), "weights.safetensors")
    driver.forget_result("a")
    assert object_store.objects().keys() == {".now"}


def test_a_driver_sees_what_runs_elsewhere(driver, worker):
    assert (driver.result("a"), driver.failure("a"), driver.progress("a"), driver.holder("a")) == (
        None,
        None,
        0.0,
        None,
    )
    with leased(worker.shelf("a")):
        worker.bring("a")
        worker.write_progress("a", 0.25)
        write_history(worker.folder("a"), [{"step": 10}])
        worker.leave("a", "metrics.jsonl")
        assert driver.progress("a") == 0.25
        assert driver.holder("a") is not None
        assert read_history(driver.holding("a", "metrics.jsonl")) == [{"step": 10}]
        worker.write_failure("a", Failure("error", "no"))
        assert driver.failure("a") == Failure("error", "no")
    assert driver.holder("a") is None
    driver.forget_failure("a")
    assert worker.failure("a") is None
    worker.write_result("a", DONE)
    assert driver.result("a") == DONE


def test_a_driver_learns_of_many_stages_by_a_listing_and_reads_each_result_once(object_store, caches, tmp_path):
    ids = [f"{i:012x}" for i in range(120)]
    text = json.dumps({"status": "finished", "reason": "", "metrics": {}, "curves": {}, "metadata": {}})
    store = object_store.store
    store.page = 50
    for stage_id in ids:
        for name in ("result.json", "progress", "weights.safetensors"):
            object_store.kept[f"{JOURNAL}{stage_id}/{name}"] = Kept(text.encode(), NOW())
    driver = journal_of(tmp_path, object_store.url)
    store.asked.clear()
    driver.expect([*ids, "missing"])
    assert [driver.result(stage_id).status for stage_id in ids] == ["finished"] * 120
    assert driver.result("missing") is None
    assert store.asked == {"LIST": 8, "PUT": 1, "HEAD": 1, "GET": 120}
    again = journal_of(tmp_path, object_store.url)
    store.asked.clear()
    again.expect(ids)
    assert [again.result(stage_id) for stage_id in ids] == [driver.result(stage_id) for stage_id in ids]
    assert store.asked == {"LIST": 8, "PUT": 1, "HEAD": 1}


def test_listings_are_the_rarer_the_longer_they_take_and_what_has_just_ended_is_asked_for(
    object_store, caches, tmp_path, monkeypatch
):
    now = [0.0]
    monkeypatch.setattr(listing.time, "monotonic", lambda: now[0])
    driver, store = journal_of(tmp_path, object_store.url), object_store.store
    real = Bucket.listed

    def slowly(self, beginning):
        now[0] += 1.0 if not beginning else 0.0
        return real(self, beginning)

    monkeypatch.setattr(Bucket, "listed", slowly)
    assert driver.result("a") is None
    bucket_at(object_store.url).write("a/result.json", json.dumps(DONE.__dict__))
    now[0] += listing.REST - 0.5
    store.asked.clear()
    assert driver.result("a") is None
    assert store.asked == {}
    driver.look("a")
    assert driver.result("a") == DONE
    assert store.asked == {"LIST": 1, "GET": 1}
    bucket_at(object_store.url).write("b/result.json", json.dumps(DONE.__dict__))
    now[0] += 1.0
    assert driver.result("b") == DONE


def test_few_texts_are_read_after_each_listing(object_store, caches, tmp_path, monkeypatch):
    monkeypatch.setattr(listing, "MOST", 2)
    for name in "abc":
        bucket_at(object_store.url).write(f"{name}/progress", "0.5")
    driver = journal_of(tmp_path, object_store.url)
    assert [driver.progress(name) for name in "abcab"] == [0.5, 0.5, 0.0, 0.5, 0.5]
    driver.listing.next = 0.0
    assert driver.progress("c") == 0.5


def test_a_folder_is_a_journal_too_and_the_results_have_one_by_default(tmp_path):
    assert journal_of(tmp_path, None) == Journal(tmp_path / ".stages")
    assert journal_of(tmp_path, str(tmp_path / "kept")) == journal_at(str(tmp_path / "kept"))
    assert journal_at(str(tmp_path / "kept")) == Journal(tmp_path / "kept")


def refused(address, tmp_path):
    """The line by which a command refuses a journal, in seconds."""
    began = time.monotonic()
    with pytest.raises(InputError) as caught:
        run.main(["data=mixture2d", "network=mlp", "dry_run=true", f"results={tmp_path}", f"journal={address}"])
    assert time.monotonic() - began < 15
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "address", ["gs://bucket/x", "s3://", "s3://Bucket", "s3://key:secret@bucket/x", "s3://bkt//x"]
)
def test_an_address_that_is_none_is_refused_before_anything_is_asked(address, tmp_path):
    assert refused(address, tmp_path).startswith(f"journal must be a folder or s3://BUCKET/PREFIX, got {address}")


def test_a_bucket_that_is_not_there_is_a_line(object_store, tmp_path):
    assert "there is no bucket nowhere: make it" in refused("s3://nowhere/journal", tmp_path)


def test_keys_that_are_missing_or_wrong_are_a_line(object_store, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    assert "does not let this command in (" in refused(f"{object_store.url}/1", tmp_path)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert "(Unable to locate credentials): set AWS_PROFILE, or" in refused(f"{object_store.url}/2", tmp_path)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert "(The config profile (nobody) could not be found): set" in refused(f"{object_store.url}/3", tmp_path)


@pytest.mark.parametrize("silent", sampled([True, False], 2, ["silent", "nobody"]))
def test_an_endpoint_that_does_not_answer_is_a_line(silent, object_store, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ANSWER_SECONDS", 1.0)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        if silent:
            taken.listen()
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        said = refused(f"s3://unheard/{silent}", tmp_path)
    assert f"no store answers at {endpoint} (" in said
    assert "set AWS_ENDPOINT_URL" in said


def test_a_store_that_keeps_no_conditions_is_refused_and_nothing_is_left_there(object_store, tmp_path):
    object_store.store.conditional = False
    assert "this store keeps no conditions of a put (If-None-Match, If-Match)" in refused(object_store.url, tmp_path)
    assert object_store.objects() == {}


def test_without_s3fs_it_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    assert refused("s3://any/thing", tmp_path).endswith("needs s3fs: pip install 'diffusion-ablations[s3]'")


def test_a_store_that_is_away_for_a_while_costs_a_while(worker, object_store, monkeypatch):
    monkeypatch.setattr(module, "PAUSES", (0.05,))
    worker.bring("a")
    worker.write_result("a", DONE)
    store = object_store.store
    store.stop()
    timer = threading.Timer(0.5, lambda: (setattr(store, "busy", False), store.start()))
    timer.start()
    assert worker.result("a") == DONE
    timer.join()


def test_a_store_that_stays_away_is_an_error_of_the_machine_and_nobody_waits_for_it_again(
    worker, object_store, monkeypatch
):
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    monkeypatch.setattr(module, "PAUSES", (0.1,))
    with object_store.store.away():
        began = time.monotonic()
        with pytest.raises(OSError, match=f"^{object_store.url}: ") as caught:
            worker.write_result("a", DONE)
        assert time.monotonic() - began > 0.4
        assert Failure.of(caught.value, "").kind == "machine"
        began = time.monotonic()
        with pytest.raises(OSError, match="Could not connect"):
            worker.result("a")
        assert time.monotonic() - began < 0.4
    assert worker.result("a") is None
    assert not bucket_at(object_store.url).down
