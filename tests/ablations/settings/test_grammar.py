"""What a command line may say, and the one line that answers a wrong one."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import get_args

import pytest
from omegaconf import OmegaConf

from ablations import publish, run, sample
from ablations.settings import exits, grammar
from ablations.settings.arguments import parse_run
from ablations.settings.cell import AXES, WORDS
from ablations.settings.evaluation import Budget
from ablations.settings.plugins.folders import files
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
    "training.steps=many": "training.steps must be a whole number, got 'many'$",
    "training.steps=1000000000000": "training.steps must be at most 1000000000, got 1000000000000",
    "training.batch=1000000": "training.batch must be at most 65536, got 1000000",
    "horizon=1000000000": "horizon must be at most 100000, got 1000000000: .* take objective=vlb_continuous",
    "threads=100000": "threads must be at most 1024, got 100000",
    "evaluation.fit=100000000": "evaluation.fit must be at most 65536, got 100000000",
    "launcher.workers=1000000": "launcher.workers must be less than or equal to 4096, got 1000000",
    "timesteps=importance timesteps.history=1000000000": "importance needs history <= 1000, got 1000000000",
    "seeds=99999999": "seeds must be at most 10000, got 99999999",
    "seeds=auto seeds.max=99999999": "seeds.max must be at most 10000, got 99999999",
    "evaluation.seed=-1": "evaluation.seed must not be negative, and below 2147483648, got -1",
    "network.attention=[3]": r"halve to \[8, 4, 2, 1\], never to \[3\]: take some of these",
    "network.attention=[-4]": r"unet needs sides of at least 1 in attention, or \[\] for none, got \[-4\]",
    "network.channels=8 network.multipliers=[1,1,1,1] network.attention=[]": "has groups=8 of a single value each",
    "fraction=3": "fraction=3 runs so many of a grid's cells, and these choices make 1$",
    "name=<script>": "< has a meaning of its own there; a text that holds it goes into two pairs of quotes",
    "schedule=,": "a value is due before or instead of ','",
    "schedule=[": "cannot be read as key=value",
    "training.learning_rate=nan": "training.learning_rate=nan is not a number",
    "training.learning_rate=fast": "training.learning_rate must be a number, got 'fast'$",
    "training.stepz=3": "no field of training called 'stepz'.*did you mean 'steps'",
    "schedule=cosine schedule.beta_1=0.1": "schedule=cosine has no field beta_1: schedule=linear has it; its own are",
    "schedule.beta_T=2": "linear needs 0 < beta_1 <= beta_T < 1",
    "horizon=10": "rescaled to T=10 has beta_T=2, which must stay below 1: take horizon > 20",
    "variance.x=1": "variance=beta has nothing to set",
    "network.channels=7": "channels that groups and heads divide",
    "network=mlp": "mlp takes points",
    "data=mixture2d network=unet": "needs images",
    "variance=learned_diagonal": "objective=simple teaches no variance.*take objective=hybrid .* or objective=vlb",
    "objective=vlb variance=learned_diagonal sampler.steps=10": "cannot be strided",
    "sampler.steps=5000": "5000 steps do not fit horizon=1000",
    "sampler.steps=0": "sampler.steps must be at least 1",
    "evaluation.exact=0": "evaluation.exact must be at least 1",
    "evaluation.quality=[train]": "must be 'validation' or 'test', got 'train'",
    "evaluation.continuous=-1": "evaluation.continuous must be at least 1, or 0 for none, got -1",
    "evaluation.ode=-1": "evaluation.ode must be at least 1, or 0 for none, got -1",
    "evaluation.ode_steps=0": "evaluation.ode_steps must be at least 1, got 0",
    "evaluation.iwae=-1": "evaluation.iwae must be at least 2, or 0 for none .*, got -1",
    "evaluation.iwae=1": "evaluation.iwae must be at least 2.*by 1 draw it is the bound itself.*got 1",
    **{
        f"evaluation.{name}=10000000000": f"evaluation.{name} must be at most [0-9]+, got 10000000000: "
        for name in ("exact", "strata", "sets", "continuous", "ode", "ode_steps", "iwae", "estimates", "fit", "rungs")
    },
    "evaluation.n=1": "evaluation.n must be 2 to 100000, or null for as many as are held out, got 1",
    "evaluation.n=10000000": "evaluation.n must be 2 to 100000",
    "evaluation.n=100,200": "sets of one size: run it once per evaluation.n=…",
    "evaluation.reference=train,test": "one reference: run it once per evaluation.reference=…",
    "evaluation.reference=val": "must be 'train' or 'test', got 'val'",
    "evaluation.reference=test evaluation.quality=[validation]": "held against, and evaluation.quality=.*judges none",
    "evaluation.reference=test evaluation.rungs=2 evaluation.judged_rungs=1": "read once, when a training is over",
    "evaluation.reference=test evaluation.metrics=[fid_held_out]": "fid_held_out reads the test images beside",
    "evaluation.fit=0": "evaluation.fit must be at least 1, got 0",
    "evaluation.continuous=4 parameterization=mu": "evaluation.continuous=4 scores .* take parameterization=epsilon",
    "evaluation.ode=1 parameterization=mu": "evaluation.ode=1 scores .*parameterization=mu predicts a mean between",
    "evaluation.weights=/nowhere/x.safetensors": "/nowhere/x",
    "data=mixture2d evaluation.weights=x.safetensors": "of an extractor of images, and this data is of points",
    "evaluation.weights=a,b": "one extractor: run it once per evaluation.weights",
    "time_input=snr": "no time_input called 'snr': there are log_snr, t; did you mean 'log_snr'",
    "first_step=beta": "no first_step called 'beta': there are beta_1, schedule; did you mean 'beta_1'",
    "time_input.x=1": "no setting called 'time_input.x'",
    "sampler.skip=1": r"sampler.skip must be a share of the steps in \[0, 1\), got 1",
    "sampler=ddim sampler.eta=2": r"sampler.eta must lie in \[0, 1\], got 2",
    "coupling=optimal training.batch=1": "pairs a batch's noise with its examples, and training.batch=1 has one: take",
    "coupling=immiscible coupling.k=1": "immiscible needs k from 2 to 1000 .*, got 1",
    "coupling=optimal objective=vlb": "objective=vlb learns from the bound, .* take coupling=independent",
    "timesteps=importance schedule=learned": "take timesteps=low_discrepancy or uniform",
    "objective=vlb_continuous parameterization=mu": "predicts a mean between two times",
    "objective=hybrid": "differs from objective=simple only in what a learned variance learns",
    "training.precision=fp8": "training.precision must be 'auto', 'float32' or 'bf16', got 'fp8'$",
    "_target_=os.system": "names code to run",
    "schedule._target_=os.system": "names code to run",
    "schedule={_target_:os.system}": "names code to run",
    "+schedule=cosine": "not added",
    "~schedule": "not added .* or deleted",
    "schedule=${oc.env:HOME}": "interpolation",
    "parameterization": "is not key=value",
    "horizon=": "horizon= has no value",
    "name=a,b": "name takes one value, got 2",
    "name=.stages": "the first no",
    "schedule@x=cosine": "no @package",
    "horizon=interval(1,5)": "an interval is for a search: python -m ablations.search horizon=",
    "horizon=range(1,5,0)": "cannot be read as key=value",
    "first_seed=99999999999": "first_seed must not be negative, and below",
    "schedule=linear,linear": "are the same cell",
    "network.channels=4000000": "allocate|memory",
    "name=../up": "name must be letters",
    "seed=3": "first_seed=N seeds=M",
    "seeds=0": "seeds must be at least 1",
    "seeds=some": "seeds must be a whole number or auto, got 'some'",
    "first_seed=-1": "first_seed must not be negative",
    "seeds=0,1,2": "seeds=M is how many, first_seed=N which is the first",
    "schedule=linear,": "ends with a comma: values have commas between them, and no space",
    "schedule=[linear,cosine]": "several values are written schedule=linear,cosine",
    "evaluation.metrics=mmd": r"evaluation.metrics must be a list, written \[A,B\], got 'mmd'",
    "fraction=1": "fraction must be at least 2",
    "launcher.workers=0": "launcher.workers must be greater than or equal to 1, got 0",
    "dry_run=maybe": "dry_run must be true or false",
    "horizon=100 horizon=200": "horizon is given twice",
    "grid=parameterization objective=vlb": "varied by the axis 'loss'.*pick its levels",
    "grid=parameterization loss=l1": "no level of loss called 'l1'",
    "grid=parameterization parameterization=epsilon loss=weighted": "leave no cell",
    "data=digits,mixture2d": "one data set",
    "device=tpu": "device must be auto, cpu, cuda or cuda:N",
    "tracking.uri=ftp://somewhere": "no tracking store",
    "tracking.uri=sqlite:////dev/null/x.db": "does not answer",
    "tracking.uri=http://127.0.0.1:1": "does not answer: Connection refused. Start it, or leave tracking.uri out",
    "tracking.uri=http://127.0.0.1:port": "does not answer",
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
        (sample.main, "cell=abc n=0", "n must be at least 1"),
        (sample.main, "cell=abc n=99999999999", "n must be at most 100000"),
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


def test_letters_of_any_language_need_no_quotes():
    request = parse_run(["results=ergebnisse für mich", "name=größe", "schedule=cosine"])
    assert (request.results, request.title) == ("ergebnisse für mich", "größe")
    with pytest.raises(InputError, match="ü has a meaning of its own there; a text that holds it goes into two pairs"):
        parse_run(["name=für[1]"])


def test_values_keep_their_types():
    request = parse_run(["schedule.beta_1=1e-3", "network.multipliers=[1,2]", "horizon=50,100", "seeds=2"])
    assert request.settings == {"schedule.beta_1": [1e-3], "network.multipliers": [[1, 2]], "horizon": [50, 100]}
    assert request.seeds == 2


@pytest.mark.slow
def test_every_file_that_ships_is_read_as_hydra_composes_it():
    for group in (*AXES, "grid", "study", "launcher"):
        for option, (path, *_) in files(group).items():
            assert grammar.load(group, option) == OmegaConf.to_container(grammar._composed(path, group, option))
