"""The user's own folder of choices, grids and studies, beside those that ship."""

from __future__ import annotations

import pytest

from ablations import run
from ablations.settings import grammar
from ablations.settings.arguments import parse_run
from ablations.settings.registry import build
from analysis.errors import InputError
from tests.ablations.settings.test_grammar import one_line_error


def write(folder, group, name, text):
    (folder / group).mkdir(parents=True, exist_ok=True)
    (folder / group / f"{name}.yaml").write_text(text)


def test_a_folder_where_the_command_runs_is_read(configs):
    write(configs, "schedule", "gentle", "# Linear, gently\nname: linear\nbeta_T: 0.01\n")
    write(configs, "grid", "mine", "# Mine\nquestion: Which?\naxes: [{name: schedule, levels: [{name: gentle}]}]\n")
    assert grammar.options_of("schedule")["gentle"] == "Linear, gently"
    assert build("schedule", grammar.load("schedule", "gentle")).beta_T == 0.01
    assert parse_run(["grid=mine", "schedule=gentle,linear"]).grid == "mine"


def test_another_folder_is_read_where_it_is_named(tmp_path):
    write(tmp_path / "elsewhere", "grid", "mine", "# Mine\nquestion: Which?\naxes: []\n")
    assert parse_run(["grid=mine", f"configs={tmp_path / 'elsewhere'}"]).grid == "mine"
    with pytest.raises(InputError, match="no grid called 'mine'"):
        parse_run(["grid=mine"])


def test_a_folder_that_is_none_is_refused(capsys, monkeypatch, tmp_path):
    line = one_line_error(run.main, [f"configs={tmp_path / 'nowhere'}"], capsys, monkeypatch)
    assert "nowhere is no folder: give one with files such as grid/NAME.yaml" in line


def test_a_name_that_ships_is_ambiguous_and_all_others_go_on(configs):
    write(configs, "schedule", "linear", "name: cosine\n")
    with pytest.raises(InputError, match=r"schedule=linear is in two files, .*linear.yaml and configs/schedule/linear"):
        grammar.load("schedule", "linear")
    assert grammar.load("schedule", "cosine")["name"] == "cosine"


def test_a_file_that_cannot_be_read_is_one_line_and_help_goes_on(configs, capsys, monkeypatch):
    write(configs, "schedule", "broken", "name: [linear\n")
    line = one_line_error(run.main, ["schedule=broken"], capsys, monkeypatch)
    assert "configs/schedule/broken.yaml cannot be read" in line
    assert run.main(["--help"]) == 0
    assert "broken" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: linear\n\tbeta_1: 1\n", r"line 2, column 1: .* \(indent with spaces\)"),
        ("name: linear: mine\n", r"line 1, column 13: .* \(a text with a colon in it needs quotes\)"),
        ("name: x\nsuggests: {a: 1\nbeta_1: 2\n", r"line 3, column 7: .*a bracket closed that opens in line 2\?\)"),
        ("name: 'x\n", r"line 2, column 1: .*are the quotes closed that open in line 1\?\)"),
        ("name: @x\n", r"line 1, column 7: .*a text that begins with it needs quotes\)"),
    ],
)
def test_a_slip_of_yaml_has_its_place_and_what_is_meant(text, said, configs):
    write(configs, "schedule", "broken", text)
    with pytest.raises(InputError, match=rf"broken\.yaml cannot be read: {said}$"):
        grammar.load("schedule", "broken")


def test_text_in_a_folder_of_ones_own_names_no_code(configs):
    write(configs, "schedule", "evil", "name: linear\nbeta_1: [{_target_: os.system}]\n")
    with pytest.raises(InputError, match="names code to run"):
        grammar.load("schedule", "evil")


def test_a_file_that_is_no_text_is_one_line(configs):
    (configs / "schedule").mkdir()
    (configs / "schedule" / "picture.yaml").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(InputError, match=r"picture.yaml cannot be read"):
        grammar.load("schedule", "picture")
    assert "cannot be read" in grammar.options_of("schedule")["picture"]


def test_a_file_without_a_comment_says_so_in_help(configs):
    write(configs, "schedule", "bare", "name: linear\n")
    assert grammar.options_of("schedule")["bare"].endswith("bare.yaml, whose first line is no comment that explains it")
