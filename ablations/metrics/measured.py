"""Metrics that stages measure by themselves, beside what is computed of samples: the bound and its parts, what an
autoencoder loses, how noisy training was, what all of it cost."""

from __future__ import annotations

from dataclasses import replace

from ablations.metrics.metric import MetricInfo

LOOSENESS = "looseness/test"
"""The bound less the importance-weighted one."""

SCALE = "guidance/scale"
"""The scale of guidance that validation has chosen."""

_NLL = MetricInfo("NLL", "min", "bits/dim", 2, name="nll/test", relevant=0.01)
_ALONE = replace(_NLL, part="diffusion", relevant=None)
_TERM = MetricInfo("", "none", "bits/dim", 2)
_CODES = replace(_TERM, part="autoencoder")
_COST, _SECONDS = MetricInfo("", "none"), MetricInfo("", "none", "s", 0, part="diffusion")
# What is measured with training or test data alone stands beside `reads_held_out`: a search cannot go by it.
_LOSS = MetricInfo("", "min", digits=1, part="autoencoder", reads_held_out=True)

MEASURED: tuple[MetricInfo, ...] = (
    replace(_NLL, decides="likelihood"),
    replace(_ALONE, name="nll_continuous/test", label="NLL, continuous time", asked_by="continuous"),
    replace(_ALONE, name="nll_ode/test", label="NLL, ODE", asked_by="ode"),
    replace(_NLL, name="nll_iwae/test", label="NLL, weighted", asked_by="iwae"),
    replace(_NLL, name=LOOSENESS, label="Looseness", digits=3, asked_by="iwae"),
    # The bound of a network that was told labels, now that it is told none. All others above are given each label.
    replace(_NLL, name="nll_unlabelled/test", label="NLL, no label", asked_by="dropout", reads_held_out=True),
    replace(_TERM, name="nll/test_L0", label="L₀"),
    replace(_TERM, name="nll/test_Lt", label="L₁ to L_{T−1}"),
    replace(_TERM, name="nll/test_LT", label="L_T", digits=None),
    replace(_CODES, name="nll/test_reconstruction", label="E −log P(x|z)"),
    replace(_CODES, name="nll/test_entropy", label="E log q(z|x)"),
    MetricInfo("Guidance scale", "none", digits=2, part="diffusion", name=SCALE),
    MetricInfo("max β", "none", digits=3, part="diffusion", name="noise/beta_max"),
    replace(_LOSS, name="rfid/train/{extractor}", label="rFID", scale="log", least=0.0),
    replace(_LOSS, name="psnr/test", label="PSNR", direction="max", unit="dB"),
    replace(_COST, name="cost/total_flops", label="Training FLOPs"),
    replace(_COST, name="cost/autoencoder_flops", label="of it autoencoder", part="autoencoder"),
    replace(_COST, name="cost/sample_flops", label="FLOPs per sample"),
    replace(_SECONDS, name="cost/train_seconds", label="Training"),
    replace(_SECONDS, name="cost/autoencoder_seconds", label="Autoencoder", part="autoencoder"),
    replace(_SECONDS, name="cost/rung_seconds", label="Rungs"),
    MetricInfo(
        "Variance of the estimate",
        "min",
        "(bits/dim)²",
        part="diffusion",
        asked_by="estimates",
        scale="log",
        name="bound_variance/test",
    ),
)
"""The columns that they fill, where {extractor} stands for its name. The likelihoods among them, and how loose the
bound is, stand beside each other in tables, in this order, where they are asked for; the others where a grid's file
names them in `columns`."""
