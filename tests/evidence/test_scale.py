"""What a driver costs per cell is measured on the real driver, whose workers do nothing."""

from __future__ import annotations

import json

import pytest

from evidence import scale


@pytest.mark.slow
def test_one_size_is_measured_in_all_its_parts(capsys):
    assert scale.main(["one=2"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found.keys() == {*scale.PARTS, "memory"}
    assert all(value > 0 for value in found.values())


def test_images_are_measured_in_a_mapped_file(capsys):
    assert scale.main(["one=1500x4"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["values"] == 1500 * 16
    assert all(value > 0 for value in found.values())


def test_sizes_are_a_table_of_their_costs(monkeypatch, tmp_path, capsys):
    def fake(word: str, seeds: int) -> dict[str, float]:
        if "x" in word:
            return {"values": 4e6, "digest": 0.02, "histograms": 0.04, "batch": 0.001, "memory": 300.0}
        return {**dict.fromkeys(scale.PARTS, 0.1 * int(word) * seeds), "memory": 100.0 + int(word)}

    monkeypatch.setattr(scale, "elsewhere", fake)
    assert scale.main(["cells=1,11", "seeds=2", "images=1000x64", f"out={tmp_path / 'scale.md'}"]) == 0
    lines = (tmp_path / "scale.md").read_text().splitlines()
    assert lines == capsys.readouterr().out.splitlines()
    assert lines[4].count("|") == lines[5].count("|") == lines[6].count("|")
    assert lines[7] == "| 11 | 22 | 2.20 | 2.20 | 2.20 | 2.20 | 2.20 | 0.500 | 111 | 0.45 |"
    assert lines[-3].count("|") == lines[-2].count("|") == lines[-1].count("|")
    assert lines[-1] == "| 1000x64 | 4 | 0.02 | 0.04 | 5.0 | 10.0 | 1.00 | 300 |"
