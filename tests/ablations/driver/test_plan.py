"""What a plan asks for beside training: weights where samples are judged by them, and nothing where none are."""

from __future__ import annotations

import pytest

from ablations.driver import run
from ablations.driver.plan import Plan
from analysis.errors import InputError
from analysis.files import read_json
from analysis.results import read_csv
from tests.ablations.conftest import TINY, over, plan_of
from tests.ablations.data.fabricated import pictures


def planned(*words: str) -> Plan:
    return plan_of(*words, "horizon=25", "evaluation.exact=2", "evaluation.strata=2")


def test_colour_images_need_weights_for_fid_before_anything_is_trained():
    with pytest.raises(InputError, match=r"evaluation.weights=PATH.*or take evaluation.quality=\[\]") as caught:
        planned("data=patches")
    assert "\n" not in str(caught.value)


def test_without_quality_no_extractor_is_asked_for_and_there_is_no_floor():
    found = planned("data=patches", "evaluation.quality=[]")
    assert found.floors == []
    assert [stage.kind for stage in found.stages()] == ["training", "bound", "bound"]
    assert len(planned("data=digits").floors) == 1


def test_a_folder_of_images_is_scored_by_its_likelihood_alone(tmp_path, alone):
    pictures(tmp_path / "images")
    tiny = ["data=folder", f"data.root={tmp_path}/images", "data.size=8", "data.mode=grey", "evaluation.quality=[]"]
    assert (
        run.main(
            [
                *over(TINY, "training.steps=4", "training.warmup=1"),
                *tiny,
                "launcher=serial",
                "name=own",
                f"results={tmp_path}",
            ]
        )
        == 0
    )
    folder = tmp_path / "own"
    head = read_json(folder / "grid.json")
    assert [metric["name"] for metric in head["metrics"]] == ["nll/test"]
    assert head["floors"] == {}
    assert head["footnotes"] == []
    (row,) = read_csv(folder / "runs.csv", ("status", "data", "data.root", "nll/test")).to_dict("records")
    assert (row["status"], row["data"], row["data.root"]) == ("finished", "folder", f"{tmp_path}/images")
    assert float(row["nll/test"]) > 0
