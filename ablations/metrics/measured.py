"""Metrics that stages measure by themselves, beside what is computed of samples: the bound and its parts, what an
autoencoder loses, how noisy training was, what all of it cost."""

from __future__ import annotations

from dataclasses import replace

from ablations.metrics.metric import MetricColumn

LOOSENESS = "looseness/test"
"""The bound less the importance-weighted one."""

SCALE = "guidance/scale"
"""The scale of guidance that validation has chosen."""

_NLL = MetricColumn("nll/test", "NLL", "min", "bits/dim", 2, decides="likelihood", on_validation=True, relevant=0.01)
_PART = MetricColumn("nll/test_", "", "none", "bits/dim", 2)
_COST = MetricColumn("cost/", "", "none")

MEASURED: tuple[MetricColumn, ...] = (
    _NLL,
    MetricColumn(
        "nll_continuous/test",
        "NLL, continuous time",
        "min",
        "bits/dim",
        2,
        part="diffusion",
        asked_by="continuous",
        on_validation=True,
    ),
    MetricColumn(
        "nll_ode/test", "NLL, ODE", "min", "bits/dim", 2, part="diffusion", asked_by="ode", on_validation=True
    ),
    replace(_NLL, name="nll_iwae/test", label="NLL, weighted", decides=None, asked_by="iwae"),
    replace(_NLL, name=LOOSENESS, label="Looseness", digits=3, decides=None, asked_by="iwae"),
    # The bound of a network that was told labels, now that it is told none. All others above are given each label.
    replace(
        _NLL, name="nll_unlabelled/test", label="NLL, no label", decides=None, asked_by="dropout", on_validation=False
    ),
    replace(_PART, name="nll/test_L0", label="L₀"),
    replace(_PART, name="nll/test_Lt", label="L₁ to L_{T−1}"),
    replace(_PART, name="nll/test_LT", label="L_T", digits=None),
    replace(_PART, name="nll/test_reconstruction", label="E −log P(x|z)", part="autoencoder"),
    replace(_PART, name="nll/test_entropy", label="E log q(z|x)", part="autoencoder"),
    MetricColumn(SCALE, "Guidance scale", "none", digits=2, part="diffusion"),
    MetricColumn("noise/beta_max", "max β", "none", digits=3, part="diffusion"),
    MetricColumn("rfid/train/{extractor}", "rFID", "min", digits=1, part="autoencoder", scale="log", least=0.0),
    MetricColumn("psnr/test", "PSNR", "max", "dB", 1, part="autoencoder"),
    replace(_COST, name="cost/total_flops", label="Training FLOPs"),
    replace(_COST, name="cost/autoencoder_flops", label="of it autoencoder", part="autoencoder"),
    replace(_COST, name="cost/sample_flops", label="FLOPs per sample"),
    replace(_COST, name="cost/train_seconds", label="Training", unit="s", digits=0, part="diffusion"),
    replace(_COST, name="cost/autoencoder_seconds", label="Autoencoder", unit="s", digits=0, part="autoencoder"),
    replace(_COST, name="cost/rung_seconds", label="Rungs", unit="s", digits=0, part="diffusion"),
    MetricColumn(
        "bound_variance/test",
        "Variance of the estimate",
        "min",
        "(bits/dim)²",
        part="diffusion",
        asked_by="estimates",
        on_validation=True,
        scale="log",
    ),
)
"""The columns that they fill, where {extractor} stands for its name. The likelihoods among them, and how loose the
bound is, stand beside each other in tables, in this order, where they are asked for; the others where a grid's file
names them in `columns`."""
