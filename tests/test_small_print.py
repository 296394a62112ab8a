"""The small print: --version, CITATION.cff, CHANGELOG.md and llms.txt agree with the package and lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
import yaml

from ablations.__main__ import READING
from analysis import shell
from analysis.schema import NUMERICS

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.mark.parametrize("module", ["ablations", "ablations.run", *(f"analysis.{name}" for name in READING)])
def test_every_command_tells_the_version_before_anything_heavy(module):
    code = f"import runpy, sys; sys.argv[1:] = ['--version']\ntry: runpy.run_module({module!r}, run_name='__main__')\n"
    code += "except SystemExit as end: assert end.code == 0 and 'torch' not in sys.modules"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert told.split()[0] == PROJECT["name"]


def test_the_version_is_that_of_what_is_installed(monkeypatch):
    monkeypatch.setattr(shell, "version", {"diffusion-ablations": "1.2.3"}.__getitem__)
    assert shell.release() == "diffusion-ablations 1.2.3"


def test_a_checkout_that_is_not_installed_says_so(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(shell, "version", missing)
    assert "not installed" in shell.release()


def test_the_citation_is_of_this_package():
    told = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert told["cff-version"] == "1.2.0"
    assert told["message"]
    assert told["title"].startswith(PROJECT["name"])
    assert (told["version"], told["license"]) == (PROJECT["version"], PROJECT["license"])
    assert [author["name"].lower() for author in told["authors"]] == [author["name"] for author in PROJECT["authors"]]


def test_the_changes_tell_of_every_numerics():
    told = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert {int(number) for number in re.findall(r"Numerics (\d+)", told)} == set(range(1, NUMERICS + 1))


@pytest.mark.parametrize("page", ["llms.txt", "CHANGELOG.md"])
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)\s#]+)", (ROOT / page).read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_llms_txt_has_the_form_of_the_standard():
    title, _, summary, *rest = (ROOT / "llms.txt").read_text(encoding="utf-8").splitlines()
    assert title == f"# {PROJECT['name']}"
    assert summary.startswith(f"> {PROJECT['description']}")
    listed = [line for line in rest[rest.index("## Start") :] if line and not line.startswith("## ")]
    assert all(re.match(r"- \[[^]]+\]\([^)]+\)", line) for line in listed)
