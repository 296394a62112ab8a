"""What a command line may say, and the one line that answers a wrong one."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import get_args

import pytest

from ablations import publish, run, sample
from ablations.settings import exits, grammar
from ablations.settings.arguments import RUN, doubts, parse_run, parse_search
from ablations.settings.cell import AXES, PLAIN, WORDS
from ablations.settings.evaluation import Budget
from ablations.settings.grammar import Range
from ablations.settings.registry import all_fields, build
from analysis.errors import InputError
from diffusion_core.choices import FirstStepRule, Time
from diffusion_core.denoiser import TimeInput

WRONG = {
    "grid=parametrization": "no grid called 'parametrization'.*did you mean 'parameterization'",
    "schedul=cosine": "no setting called 'schedul'.*did you mean 'schedule'",
    "schedule=cosin": "no schedule called 'cosin': there are cosine, .*linear, .*; did you mean 'cosine'",
    "parameterization=noise": "no parameterization called 'noise': there are edm, epsilon, mu, v, velocity, x0",
    "launcher=slurm": "no launcher called 'slurm'",
    "horizon=-1": "horizon must be a whole number of at least 2, or 0 for the autoencoder .*, got -1",
    "horizon=many": "horizon must be a whole number of at least 2, or 0 for the autoencoder .*, got 'many'",
    "horizon=1": "horizon must be at least 2",
    "horizon=0": "horizon=0 is the autoencoder alone, which space=pixels has not: take space=latents, or horizon=1000",
    "training.steps=-5": "training.steps must be at least 1, got -5",
    "training.steps=1.5": "training.steps must be a whole number, got 1.5$",
    "training.steps=1e12": "training.steps must be a whole number, got 1000000000000.0: write 1000000000000$",
    "training.steps=1000000000000": "training.steps must be at most 1000000000, got 1000000000000",
    "horizon=1000000000": "horizon must be at most 100000, got 1000000000: .* take objective=vlb_continuous",
    "launcher.workers=1000000": "launcher.workers must be less than or equal to 4096, got 1000000",
    "seeds=99999999": "seeds must be less than or equal to 10000 or 'auto', got 99999999",
    "evaluation.seed=-1": "evaluation.seed must be greater than or equal to 0, got -1",
    "network.attention=[3]": r"halve to \[8, 4, 2, 1\], never to \[3\]: take some of these",
    "schedule=[": "cannot be read as key=value",
    "training.learning_rate=fast": "training.learning_rate must be a number, got 'fast'$",
    "training.stepz=3": "no field of training called 'stepz'.*did you mean 'steps'",
    "schedule=cosine schedule.beta_1=0.1": "schedule=cosine has no field beta_1: schedule=linear has it; its own are",
    "schedule.beta_T=2": "linear needs 0 < beta_1 <= beta_T < 1",
    "network.channels=7": "channels that groups and heads divide",
    "data=mixture2d network=unet": "needs images",
    "variance=learned_diagonal": "objective=simple teaches no variance.*take objective=hybrid .* or objective=vlb",
    "objective=vlb variance=learned_diagonal sampler.steps=10": "cannot be strided",
    "sampler.steps=0": "sampler.steps must be at least 1",
    "evaluation.quality=[train]": "must be 'validation' or 'test', got 'train'",
    "evaluation.iwae=1": "evaluation.iwae must be 0 or .*greater than or equal to 2|evaluation.iwae .*, got 1",
    "evaluation.rungs=10000000000": "evaluation.rungs must be less than or equal to 30, got 10000000000",
    "evaluation.n=1": "evaluation.n must be greater than or equal to 2, got 1",
    "evaluation.reference=train,test": "one reference: run it once per evaluation.reference=…",
    "evaluation.reference=val": "must be 'train' or 'test', got 'val'",
    "evaluation.reference=test evaluation.quality=[validation]": "held against, and evaluation.quality=.*judges none",
    "evaluation.continuous=4 parameterization=mu": "evaluation.continuous=4 scores .* take parameterization=epsilon",
    "evaluation.weights=/nowhere/x.safetensors": "/nowhere/x",
    "time_input=snr": "no time_input called 'snr': there are log_snr, t; did you mean 'log_snr'",
    "time_input.x=1": "no setting called 'time_input.x'",
    "sampler.skip=1": r"sampler.skip must be a share of the steps in \[0, 1\), got 1",
    "coupling=optimal training.batch=1": "pairs a batch's noise with its examples, and training.batch=1 has one: take",
    "objective=hybrid": "differs from objective=simple only in what a learned variance learns",
    "training.precision=fp8": "training.precision must be 'auto', 'float32' or 'bf16', got 'fp8'$",
    "parameterization": "is not key=value",
    "horizon=": "horizon= has no value",
    "name=a,b": "name takes one value, got 2",
    "name=.stages": "the first no",
    "horizon=interval(1,5)": "an interval is for a search: python -m ablations.search horizon=",
    "schedule=linear,linear": "are the same cell",
    "network.channels=4000000": "allocate|memory",
    "name=../up": "name must be letters",
    "seed=3": "first_seed=N seeds=M",
    "seeds=some": "seeds must be a whole number or 'auto', got 'some'",
    "seeds=0,1,2": "seeds=M is how many, first_seed=N which is the first",
    "schedule=linear,": "ends with a comma: values have commas between them, and no space",
    "schedule=[linear,cosine]": "several values are written schedule=linear,cosine",
    "evaluation.metrics=mmd": r"evaluation.metrics must be a list, written \[A,B\], got 'mmd'",
    "launcher.workers=0": "launcher.workers must be greater than or equal to 1, got 0",
    "dry_run=maybe": "dry_run must be true or false",
    "horizon=100 horizon=200": "horizon is given twice",
    "grid=parameterization objective=vlb": "varied by the axis 'loss'.*pick its levels",
    "grid=parameterization loss=l1": "no level of loss called 'l1'",
    "grid=parameterization parameterization=epsilon loss=weighted": "leave no cell",
    "data=digits,mixture2d": "one data set",
    "device=tpu": "device must be auto, cpu, cuda or cuda:N",
    "tracking.uri=ftp://somewhere": "is no store",
}


def one_line_error(main, arguments, capsys, monkeypatch):
    """The line on stderr of a command that must exit with 2."""
    monkeypatch.setattr(sys, "argv", ["command", *arguments])
    assert exits.exit_code(main) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize("call", WRONG)
def test_wrong_call_is_one_line_and_exit_code_two(call, capsys, monkeypatch, tmp_path):
    line = one_line_error(run.main, [*call.split(), f"results={tmp_path}"], capsys, monkeypatch)

    assert re.search(WRONG[call], line), line
    assert not list(tmp_path.glob("*/grid.json"))


@pytest.mark.parametrize(
    ("command", "call", "message"),
    [
        (sample.main, "", "give either cell=ID, of a cell that was trained here, or model="),
        (sample.main, "cell=abc model=runs:/1/model", "give either cell=ID"),
        (sample.main, "cell=abc n=0", "n must be 1 to 100000"),
        (sample.main, "model=http://127.0.0.1:1/x", "model=http://127.0.0.1:1/x is no folder, and no name that MLflow"),
        (sample.main, "model=s3://x/y", "no name that MLflow gives to one: runs:/RUN/model"),
        (sample.main, "cell=abc", "no cell 'abc'"),
        (sample.main, "cel=abc", "no option called 'cel'.*did you mean 'cell'"),
        (publish.main, "", "holds no results to publish"),
        (publish.main, "grid=nothing", "holds no results .*run its grid first"),
    ],
)
def test_other_commands_answer_in_one_line_too(command, call, message, capsys, monkeypatch, tmp_path):

    line = one_line_error(command, [*call.split(), f"results={tmp_path}"], capsys, monkeypatch)
    assert re.search(message, line), line


@pytest.mark.parametrize("where", ["/dev/null", "/dev/null/x"])
def test_a_results_folder_that_cannot_be_written_is_named_in_one_line(where, capsys):
    assert exits.outcome(run.main, [f"results={where}"]) == 1
    assert re.fullmatch(rf"error: .*'{where}': mend this.*\n", capsys.readouterr().err)


NAMES = ("--help", "grid=parametrization", "training.stepps=3", "evaluation.sede=1")
NUMBERS = ("training.steps=10k", "training.batch=1k", "evaluation.n=many", "horizon=10k", "threads=0")


@pytest.mark.parametrize("word", [*NAMES, *NUMBERS])
def test_help_and_errors_about_names_and_numbers_come_without_torch(word):
    code = f"import sys; from ablations import run\ntry: run.main(['{word}'])\nexcept Exception: pass\n"
    code += "assert not {'torch', 'mlflow', 'pandas'} & set(sys.modules), 'heavy import'"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_help_lists_every_choice_with_its_line(capsys):
    assert run.main(["--help"]) == 0
    text = capsys.readouterr().out
    for axis in AXES:
        for option, line in grammar.options_of(axis).items():
            assert option in text
            assert len(line) > 10
            assert line in text


def test_the_words_of_a_cell_are_those_of_the_core_and_help_explains_them(capsys):
    assert {key: set(words) for key, words in WORDS.items()} == {
        "time_input": set(get_args(TimeInput)),
        "time": set(get_args(Time)),
        "first_step": set(get_args(FirstStepRule)),
        "budget": set(get_args(Budget)),
    }
    assert run.main(["--help"]) == 0
    text = capsys.readouterr().out
    for key, lines in WORDS.items():
        for value, line in lines.items():
            assert re.search(rf"{key}={value} .*{re.escape(line)}", text)


def test_values_keep_their_types_and_texts_are_as_they_were_written():
    request = parse_run(["schedule.beta_1=1e-3", "network.multipliers=[1,2]", "horizon=50,100", "training.batch=1"])
    assert request.settings == {
        "schedule.beta_1": [1e-3],
        "network.multipliers": [[1, 2]],
        "horizon": [50, 100],
        "training.batch": [1],
    }
    named = parse_run(["results=ergebnisse für mich", "name=1.10", "data.root=007,'a,b',null,true"])
    assert (named.results, named.title) == ("ergebnisse für mich", "1.10")
    assert named.settings["data.root"] == ["007", "a,b", None, True]


def test_ranges_are_values_of_a_grid_and_intervals_of_a_search():
    assert parse_run(["training.batch=range(16,64,16)"]).settings == {"training.batch": [16, 32, 48]}
    assert parse_run(["training.batch=range(5,1,-2)"]).settings == {"training.batch": [5, 3]}
    asked = parse_search(["horizon=range(50,151,50)", "training.learning_rate=tag(log,interval(1e-4,1e-2))"])
    assert asked.ranges == {
        "horizon": Range(50, 150, step=50),
        "training.learning_rate": Range(1e-4, 1e-2, log=True),
    }
    for wrong in ("range(1,1000000000)", "range(0,1,0)", "range(5,1)", "interval(1)", "tag(lgo,interval(1,2))"):
        with pytest.raises(InputError, match=r"cannot be read as key=value: (a range holds|there are range)"):
            parse_search([f"training.batch={wrong}"])


@pytest.mark.parametrize(
    ("words", "title"),
    [
        ([], "baseline"),
        (["horizon=50"], "custom"),
        (["schedule=linear,cosine", "horizon=50"], "schedule"),
        (["schedule=linear,cosine", "objective=simple,vlb"], "schedule-objective"),
        (["network.width=16,32", "data=mixture2d"], "network.width"),
        (["grid=steps", "variance=beta,learned"], "steps"),
        (["schedule=linear,cosine", "name=mine"], "mine"),
    ],
)
def test_a_grid_is_named_by_its_axes_unless_it_has_a_name(words, title):
    assert parse_run(words).title == title


@pytest.mark.parametrize("parse", [parse_run, parse_search])
def test_results_lie_in_no_place_of_the_suites_own(parse):
    for name in ("MLflow.db", "optuna.db-wal", "committed"):
        with pytest.raises(InputError, match=f"none of what the suite itself keeps .*, got '{name}'"):
            parse([f"name={name}"])
    with pytest.raises(InputError, match="results/committed is where committed results are: give results=results,"):
        parse(["results=results/committed"])
    with pytest.raises(InputError, match="name must have at most 100 characters, got 101"):
        parse([f"name={'a' * 101}"])


MEANT = {
    "lr=1e-3": ["training.learning_rate"],
    "learnin_rate=1e-3": ["training.learning_rate"],
    "optimizer.lr=1e-3": ["training.learning_rate"],
    "trainig.steps=5": ["training.steps"],
    "T=100": ["horizon"],
    "sampler=ddpm": ["sampler=ancestral"],
    "data=CIFAR-10": ["cifar10"],
    "data=cosine": ["schedule=cosine"],
    "launcher=slurm": ["launcher=ray"],
    "grid=vlb": ["objective=vlb"],
}
"""A word → what is suggested instead."""


@pytest.mark.parametrize("word", MEANT)
def test_a_word_of_elsewhere_leads_to_the_one_that_is_meant(word):
    with pytest.raises(InputError, match=r"^no ") as error:
        parse_run([word])
    assert re.findall(r"'([^']*)'", str(error.value).partition("did you mean ")[2]) == MEANT[word]


def test_what_is_suggested_exists():
    for target in (target for targets in grammar.MEANT.values() for target in targets):
        key, _, value = target.partition("=")
        axis, _, field = key.partition(".")
        known = key in RUN or key in PLAIN or axis in AXES or axis == "launcher"
        assert known, target
        assert not field or key in RUN or field in all_fields(axis), target
        assert not value or key == "device" or value in grammar.options_of(key), target


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("--lr=1e-3", "'--lr=1e-3': keys are written without dashes: write training.learning_rate=1e-3"),
        ("parameterization", "'parameterization' is not key=value: write parameterization=… or grid=parameterization"),
        ("xyzzy", "'xyzzy' is not key=value: try --help"),
        ("seeds=10k", "seeds must be a whole number or 'auto', got '10k': write 10000"),
        ("trials=3", "trials is of another command: python -m ablations.search trials=…"),
        ("device=gpu", "device must be auto, cpu, cuda or cuda:N, got 'gpu': did you mean cuda?"),
        ("grid=./mine.yml", "grid=./mine.yml: grid takes a name and no file: write grid=mine, and let the file be "),
    ],
)
def test_slips_are_answered_by_what_to_write(word, message):
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        parse_run([word])


def test_a_rate_far_above_any_is_doubted_and_others_are_not():
    (doubt,) = doubts(parse_run(["training.learning_rate=1e-3,1e3", "space.learning_rate=1e-3"]))
    assert doubt.startswith("training.learning_rate=1000.0 is far above any that is used")
    (doubt,) = doubts(parse_search(["training.learning_rate=interval(1e-3,50)"]))
    assert doubt.startswith("training.learning_rate=50 ")


def write(folder, group, name, text):
    (folder / group).mkdir(parents=True, exist_ok=True)
    (folder / group / f"{name}.yaml").write_text(text, encoding="utf-8")


def test_a_folder_of_ones_own_is_read(configs, tmp_path):
    write(configs, "schedule", "gentle", "# Linear, gently\nname: linear\nbeta_T: 1e-2\n")
    write(configs, "grid", "mine", "# Mine\nquestion: Which?\naxes: [{name: schedule, levels: [gentle]}]\n")
    assert grammar.options_of("schedule")["gentle"] == "Linear, gently"
    assert build("schedule", grammar.load("schedule", "gentle")).beta_T == 0.01
    assert parse_run(["grid=mine", "schedule=gentle,linear"]).grid == "mine"
    write(tmp_path / "elsewhere", "grid", "other", "# Other\nquestion: Which?\naxes: []\n")
    assert parse_run(["grid=other", f"configs={tmp_path / 'elsewhere'}"]).grid == "other"
    with pytest.raises(InputError, match="nowhere is no folder: give one with files"):
        parse_run(["configs=nowhere"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: linear\n\tbeta_1: 1\n", r"broken.yaml cannot be read: line 2, column 1: "),
        ("name: @x\n", r"broken.yaml cannot be read: line 1, column 7: "),
        ("- a", r"broken.yaml must hold `key: value` lines"),
        ("#" * 1_000_001, r"broken.yaml cannot be read: more than 1000000 bytes"),
        ("a: !!python/object/apply:os.system ['touch ran']", "broken.yaml cannot be read: .*could not determine"),
    ],
    ids=["tab", "sign", "list", "long", "code"],
)
def test_a_file_that_cannot_be_read_is_one_line_and_help_goes_on(text, message, configs, capsys):
    write(configs, "schedule", "broken", text)
    write(configs, "schedule", "cosine", "name: linear\n")
    with pytest.raises(InputError, match=message):
        parse_run(["schedule=broken"])
    with pytest.raises(InputError, match="schedule=cosine is in two files, "):
        parse_run(["schedule=cosine"])
    assert run.main(["--help"]) == 0
    assert "broken" in capsys.readouterr().out
    assert not (configs.parent / "ran").exists()
