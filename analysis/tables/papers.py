"""The published tables that ours are set beside, as data: our words → theirs. What is in no mapping has no number.

Every word on the right is a text of `published.csv`; the tests hold each to a row that exists.
"""

from __future__ import annotations

from dataclasses import replace

from analysis.tables.published import ANY, SAME, Choice, PaperTable

_CIFAR = "CIFAR-10 32×32"
_NLL = "NLL of 8-bit data in bits/dim, an upper bound over all T"
_FULL_CHAIN = {"sampler": ("ancestral",), "sampler.steps": ("null",), "evaluation.horizon": ("null",)}
_EPSILON = Choice("parameterization", ("parameterization",), {("epsilon",): "epsilon"})
_TRUE_BOUND = "L (true VLB)"

DDPM_2 = PaperTable(
    paper="DDPM (Ho 2020)",
    tables=("Table 1", "Table 2", "Table 1+2"),
    cited="Tables 1 and 2",
    data={"CIFAR-10 uncond 32x32": _CIFAR},
    metrics={"nll": "NLL bits/dim test (upper bound)", "fid": "FID-50k vs train", "is": "IS"},
    choices=(
        Choice("parameterization", ("parameterization",), {("mu",): "mu-tilde", ("epsilon",): "epsilon"}),
        Choice(
            "variance",
            ("variance",),
            {
                ("beta",): ("fixed isotropic", "fixed isotropic (beta_t for CIFAR samples per DDIM paper)"),
                ("beta_tilde",): "fixed isotropic",
                ("learned_diagonal",): "learned diagonal Sigma",
            },
        ),
        Choice(
            "objective",
            ("parameterization", "objective"),
            {
                ("mu", "vlb"): _TRUE_BOUND,
                ("epsilon", "vlb"): _TRUE_BOUND,
                ("mu", "simple"): "unweighted ||mu-tilde - mu_theta||^2",
                ("epsilon", "simple"): "L_simple",
            },
        ),
    ),
    only={"schedule": ("linear",), "timesteps": ("uniform",), **_FULL_CHAIN},
    defined=f"{_NLL}; FID of 50k samples against the training set, by another extractor; "
    "IS ± over 10 splits of the samples, not over seeds; “unstable” is the paper's word",
)

DDPM_1 = replace(
    DDPM_2,
    tables=("Table 1", "Table 1+2"),
    cited="Table 1",
    metrics={kind: DDPM_2.metrics[kind] for kind in ("is", "fid", "nll")},
    defined=DDPM_2.defined.removesuffix("; “unstable” is the paper's word"),
)

_IDDPM = "Improved DDPM (Nichol & Dhariwal 2021)"
_IDDPM_CHOICES = (
    _EPSILON,
    Choice("schedule", ("schedule",), {("linear",): "linear", ("cosine",): "cosine"}),
    Choice(
        "variance",
        ("variance",),
        {("beta",): "fixed", ("beta_tilde",): "fixed", ("learned",): "learned (log-interp beta..beta-tilde)"},
    ),
    Choice(
        "objective",
        ("objective", "timesteps"),
        {
            ("simple", "uniform"): "L_simple",
            ("hybrid", "uniform"): "L_hybrid",
            ("vlb", "importance"): "L_vlb (importance sampled t)",
        },
    ),
    Choice("T_train", ("horizon",), {("1000",): "1000", ("4000",): "4000"}, otherwise="4000"),
)
_IDDPM_ONLY = {"schedule.rescale": ("true",), **_FULL_CHAIN}

IDDPM_1 = PaperTable(
    paper=_IDDPM,
    tables=("Table 1",),
    cited="Table 1",
    data={"ImageNet 64x64 uncond": "ImageNet 64×64"},
    metrics={"nll": "NLL bits/dim", "fid": "FID-10k vs train"},
    choices=(
        *_IDDPM_CHOICES,
        Choice("iterations", ("training.steps",), {("200000",): "200K", ("1500000",): "1.5M"}, otherwise="200K"),
    ),
    only=_IDDPM_ONLY,
    beside={"T": "T_train", "Iters": "iterations"},
    defined=f"{_NLL}; FID of 10k samples only against the training set, which the authors call biased upward, "
    "by another extractor; vlb with importance sampling of t",
)

IDDPM_2 = PaperTable(
    paper=_IDDPM,
    tables=("Table 2",),
    cited="Table 2",
    data={"CIFAR-10 uncond 32x32": _CIFAR},
    metrics={"nll": "NLL bits/dim", "fid": "FID-50k vs train"},
    choices=_IDDPM_CHOICES,
    only=_IDDPM_ONLY,
    beside={"T": "T_train", "Iters": "iterations"},
    defined=f"{_NLL}; FID of 50k samples against the training set, by another extractor; vlb with importance "
    "sampling of t; dropout 0.1 with linear and 0.3 with cosine, so the schedules differ in more than themselves",
)

_VDM = "VDM (Kingma 2021)"
_VDM_DATA = {"CIFAR-10 no aug": _CIFAR}

VDM_2 = PaperTable(
    paper=_VDM,
    tables=("Table 2",),
    cited="Table 2",
    data=_VDM_DATA,
    metrics={"nll": "NLL bits/dim test (VLB)"},
    choices=(
        Choice("objective", ("objective",), {("vlb",): "VLB discrete", ("vlb_continuous",): "VLB continuous"}),
        Choice("T_train", ("objective", "horizon"), {("vlb_continuous", ANY): "inf", ("vlb", ANY): SAME}),
        Choice("steps_eval", ("evaluation.horizon",), {(ANY,): SAME}),
    ),
    only={"parameterization": ("epsilon",), "schedule": ("learned",)},
    beside={"T": "T_train", "T, evaluation": "steps_eval"},
    along=("T_train", "steps_eval"),
    labels={"VLB discrete": "trained at the T of evaluation", "VLB continuous": "trained in continuous time"},
    defined="NLL of 8-bit data in bits/dim, an upper bound over the T steps of evaluation (T = ∞: in continuous time); "
    "learned schedule and ends, Fourier features, no augmentation",
)

VDM_4B = PaperTable(
    paper=_VDM,
    tables=("Fig 4b",),
    cited="Fig. 4b",
    data=_VDM_DATA,
    metrics={"bound_variance": "Var(BPD estimate), mean BPD fixed at 2.66"},
    choices=(
        Choice(
            "schedule",
            ("schedule",),
            {
                ("learned",): "learned, same endpoints",
                ("learned_linear",): "log-SNR-linear, same endpoints",
                ("log_snr_linear",): "log-SNR-linear, same endpoints",
                ("linear",): "beta-linear (Ho), same endpoints",
                ("cosine",): "alpha-cosine (Nichol), same endpoints",
            },
        ),
    ),
    only={"parameterization": ("epsilon",)},
    defined="variance of the estimate of the bound from one noise level an image, all schedules between the same ends, "
    "so that the mean is common",
)

_LDM = {
    ("kl", "2"): ("autoencoder KL f=2 |Z|=- c=2", "KL, c = 2"),
    ("kl", "4"): ("autoencoder KL f=4 |Z|=- c=3", "KL, c = 3"),
    ("kl", "8"): ("autoencoder KL f=8 |Z|=- c=4", "KL, c = 4"),
    ("kl", "16"): ("autoencoder KL f=16 |Z|=- c=16", "KL, c = 16"),
    ("kl", "32"): ("autoencoder KL f=32 |Z|=- c=64", "KL, c = 64"),
    ("vq", "2"): ("autoencoder VQ f=2 |Z|=2048 c=2", "VQ, c = 2"),
    ("vq", "4"): ("autoencoder VQ f=4 |Z|=8192 c=3", "VQ, c = 3"),
    ("vq", "8"): ("autoencoder VQ f=8 |Z|=16384 c=4", "VQ, c = 4"),
    ("vq", "16"): ("autoencoder VQ f=16 |Z|=16384 c=8", "VQ, c = 8"),
    ("vq", "32"): ("autoencoder VQ f=32 |Z|=16384 c=16", "VQ, c = 16"),
}
"""Regularisation and f → the paper's word, and what a table calls it."""

LDM_8 = PaperTable(
    paper="LDM (Rombach 2022)",
    tables=("Table 8",),
    cited="Table 8",
    data={"train OpenImages, eval ImageNet-val 256": "ImageNet 256×256"},
    metrics={"rfid": "R-FID", "psnr": "PSNR dB"},
    choices=(
        Choice("parameterization", ("space.regularization", "space.f"), {key: word for key, (word, _) in _LDM.items()}),
    ),
    beside={"Model": "parameterization"},
    labels=dict(_LDM.values()),
    defined="reconstructions of validation images by an autoencoder trained on OpenImages, PSNR in dB; ± is over "
    "images, not over seeds; of several autoencoders with one f, that with most channels (KL) or codes (VQ); the paper "
    "gives FID over f in Figs. 6 and 7 only, without numbers",
)


def _analytic(cited: str, kind: str, metric: str, steps: str, defined: str) -> PaperTable:
    return PaperTable(
        paper="Analytic-DPM (Bao 2022)",
        tables=(cited,),
        cited=cited,
        data={
            "CIFAR-10 (LS)": f"{_CIFAR} by a linear schedule (LS)",
            "CIFAR-10 (CS)": f"{_CIFAR} by a cosine schedule (CS)",
        },
        metrics={kind: metric},
        choices=(
            _EPSILON,
            Choice("dataset", ("schedule",), {("linear",): "CIFAR-10 (LS)", ("cosine",): "CIFAR-10 (CS)"}),
            Choice(
                "variance",
                ("variance",),
                {
                    ("beta",): "beta ET even stride",
                    ("beta_tilde",): "beta-tilde ET even stride",
                    ("analytic",): "analytic ET even stride",
                },
            ),
            Choice("objective", ("objective",), {("simple",): "L_simple"}),
            Choice("steps_eval", (steps,), {(ANY,): SAME}),
        ),
        only={"sampler": ("ancestral",)},
        along=("steps_eval",),
        labels={
            "beta ET even stride": "β",
            "beta-tilde ET even stride": "β̃",
            "analytic ET even stride": "analytic",
        },
        defined=defined,
    )


ANALYTIC_1 = _analytic(
    "Table 1",
    "nll",
    "NLL bits/dim",
    "evaluation.horizon",
    "NLL of 8-bit data in bits/dim, an upper bound over the K steps, evenly strided",
)
ANALYTIC_2 = _analytic(
    "Table 2", "fid", "FID-50k", "sampler.steps", "FID of 50k samples by another extractor, K steps evenly strided"
)
