"""A driver's cost per cell is measured on the real driver, whose workers do nothing."""

from __future__ import annotations

import pytest

from evidence import scale


@pytest.mark.slow
def test_one_size_is_measured_in_all_its_parts(tmp_path):
    assert scale.main(["cells=2", f"out={tmp_path / 'scale.md'}"]) == 0
    *_, row = (tmp_path / "scale.md").read_text(encoding="utf-8").splitlines()
    cells, *numbers = (float(cell) for cell in row.strip("| ").split("|"))
    assert cells == 2
    assert len(numbers) == len(scale.HEAD) - 1
    assert min(numbers) > 0
