"""Files of figures that take no time."""

import pytest


@pytest.fixture
def quick(monkeypatch):
    """Figures that the test writes are laid out, which finds what cannot be drawn; their files hold a mark instead."""

    def save(figure, path):
        figure.draw_without_rendering()
        files = [path.with_name(f"{path.name}.{suffix}") for suffix in ("png", "pdf")]
        for file in files:
            file.write_bytes(b"drawn")
        return files

    monkeypatch.setattr("analysis.figures.save", save)
