"""What comes from elsewhere leads out of no folder and brings no code."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from ablations import publish
from ablations.driver.progress import bar
from ablations.settings.arguments import parse_run
from analysis.errors import InputError

ROOT = Path(__file__).parents[2]


def test_publishing_delivers_nothing_that_a_killed_writer_left(again):
    names = ["notes.txt", ".notes.txt.r8earjny", "figures/curves.pdf", "figures/.curves.pdf.r8earjny"]
    for name in names:
        (again.folder / name).parent.mkdir(exist_ok=True)
        (again.folder / name).write_text("half of")
    assert publish.main([f"results={again.results}"]) == 0
    delivered = {name for name in names if list((again.results / ".artifacts").rglob(name))}
    assert delivered == {"notes.txt", "figures/curves.pdf"}


@pytest.mark.parametrize("name", ["../elsewhere", "/etc", "a/../../b", ".stages", ".."])
def test_names_of_results_lead_to_no_other_place(name, tmp_path, capsys):
    assert publish.main([f"grid={name}", f"results={tmp_path}"]) == 2
    assert "leads to no other place" in capsys.readouterr().err
    with pytest.raises(InputError):
        parse_run([f"name={name}"])


def test_a_file_in_a_folder_of_grids_has_its_results_beside_all_others(configs):
    (configs / "grid" / "mine").mkdir()
    (configs / "grid" / "mine" / "first.yaml").write_text("question: q\naxes: []\nbaseline: {}\n")
    assert parse_run(["grid=mine/first"]).title == "mine-first"


def test_what_a_cell_is_called_does_nothing_to_the_bar(capfd):
    with bar("cells", 1.0) as shown:
        shown.tell("[/red] is at work")
        shown.move_to(1.0)
    assert "[/red] is at work" in capfd.readouterr().err


SOURCES = [path for package in ("ablations", "analysis", "diffusion_core") for path in (ROOT / package).rglob("*.py")]


def test_nothing_from_elsewhere_is_run():
    for path in SOURCES:
        name = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not {"pickle", "marshal", "dill"} & {alias.name for alias in node.names}, name
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            words = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            assert called not in ("eval", "exec", "os.system", "os.popen", "yaml.load", "yaml.unsafe_load"), name
            assert words.get("shell") != "True", name
            assert words.get("allow_pickle") != "True", name
            if called == "torch.load":
                assert words.get("weights_only") == "True", name


def test_every_server_that_is_suggested_answers_on_its_own_machine_alone():
    texts = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").rglob("*.md"), *SOURCES]
    for path in texts:
        if path.name != "SECURITY.md":
            assert "0.0.0.0" not in path.read_text(encoding="utf-8"), path
