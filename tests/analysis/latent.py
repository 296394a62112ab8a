"""A synthetic grid over spaces: pixels, latents at three f with a diffusion at two budgets or as a VAE, and a VQ code.

Every metric of a cell has a mean and a step, as in conftest: seeds 0, 1, 2 read mean − step, mean, mean + step.
Costs in operations are counted, so all seeds agree in them.
"""

import hashlib
import json

import numpy as np
from PIL import Image

from tests.analysis.conftest import FID, IS, NLL, SEEDS, axis_of, meta, row_of, write_curves, write_rows

RFID, PSNR = "rfid/train/digits-cnn", "psnr/test"
SPACES = {
    "pixels": ("pixels", {"space": "pixels"}),
    "f1": ("f = 1", {"space": "latents", "space.f": "1", "space.channels": "1"}),
    "f2": ("f = 2", {"space": "latents", "space.f": "2", "space.channels": "2"}),
    "f4": ("f = 4", {"space": "latents", "space.f": "4", "space.channels": "3"}),
    "vq": ("f = 2, VQ", {"space": "latents", "space.f": "2", "space.channels": "2"}),
}
RUNS = {
    "steps": ("equal steps", {"budget": "steps", "horizon": "1000"}),
    "flops": ("equal FLOPs", {"budget": "flops", "horizon": "1000"}),
    "vae": ("VAE alone", {"budget": "steps", "horizon": "0"}),
}
AXES = [
    axis_of(name, label, {level: text for level, (text, _) in levels.items()})
    for name, label, levels in (("space", "Space", SPACES), ("run", "Run", RUNS))
]
# FID, FLOPs of the diffusion's training, and (reconstruction, entropy, L0, Lt, LT) in bits/dim, of which pixels have no
# first two, and a VQ code none.
CELLS = {
    ("pixels", "steps"): (25.0, 3.45e12, (0.0, 0.0, -1.54, 5.3, 0.001)),
    ("f1", "steps"): (27.0, 3.5e12, (0.4, -1.1, -0.5, 4.6, 0.01)),
    ("f1", "flops"): (28.0, 2.85e12, (0.4, -1.1, -0.5, 4.55, 0.01)),
    ("f1", "vae"): (160.0, 0.0, (0.4, -1.1, 4.9, 0.0, 0.6)),
    ("f2", "steps"): (24.0, 9e11, (1.3, -0.9, 0.3, 2.6, 0.01)),
    ("f2", "flops"): (19.0, 3.05e12, (1.3, -0.9, 0.3, 2.4, 0.01)),
    ("f2", "vae"): (120.0, 0.0, (1.3, -0.9, 2.9, 0.0, 0.7)),
    ("f4", "steps"): (45.0, 2.5e11, (2.5, -0.3, 0.2, 1.4, 0.01)),
    ("f4", "flops"): (41.0, 3.15e12, (2.5, -0.3, 0.2, 1.3, 0.01)),
    ("f4", "vae"): (70.0, 0.0, (2.5, -0.3, 1.6, 0.0, 0.3)),
    ("vq", "steps"): (26.0, 9e11, None),
}
# rFID and PSNR of each autoencoder, and its operations.
AUTOENCODERS = {"f1": (0.4, 38.2, 6e11), "f2": (3.1, 27.4, 4e11), "f4": (14.0, 21.0, 3e11), "vq": (3.9, 26.6, 4.2e11)}
STEP = 0.02
PARTLY = ("f4", "flops")
"""Diverged at seed 2."""
METRICS = [
    {"name": NLL, "label": "NLL", "unit": "bits/dim", "direction": "min", "decimals": 2},
    {"name": FID, "label": "FID", "direction": "min", "decimals": 1},
    {"name": IS, "label": "IS", "direction": "max", "decimals": 2},
    {"name": RFID, "label": "rFID", "direction": "min", "decimals": 1},
    {"name": PSNR, "label": "PSNR", "unit": "dB", "direction": "max", "decimals": 1},
    {"name": "cost/total_flops", "label": "Training FLOPs", "direction": "none"},
    {"name": "cost/autoencoder_flops", "label": "of it autoencoder", "direction": "none"},
    {"name": "cost/sample_flops", "label": "FLOPs per sample", "direction": "none"},
    {"name": "cost/train_seconds", "label": "Training seconds", "direction": "none"},
]
BASE = {"data": "digits", "parameterization": "epsilon", "objective": "simple", "schedule": "linear"}
BASE |= {"training.steps": "1500", "training.batch": "128", "sampler.steps": "null", "evaluation.horizon": "null"}


def autoencoder_id(space, seed):
    return "" if space == "pixels" else hashlib.sha256(f"{space} {seed}".encode()).hexdigest()[:12]


def row(levels, seed):
    """A line of runs.csv."""
    space, run = levels
    found = row_of("-".join(levels), seed, autoencoder_id=autoencoder_id(space, seed))
    found |= {"axis.space": space, "axis.run": run} | BASE | SPACES[space][1] | RUNS[run][1]
    if space != "pixels":
        found |= VQ if space == "vq" else KL
    if levels == PARTLY and seed == 2:
        return found | {"status": "diverged", "reason": "the loss was not finite at step 120"}
    return found | {"not_comparable": "nll" if space == "vq" else ""} | values(levels, seed)


KL = {"space.regularization": "kl", "space.kl_weight": "1e-06"}
VQ = {"space.regularization": "vq", "space.codes": "2048"}


def values(levels, seed):
    """The metrics of a run."""
    space, _ = levels
    shift = STEP * (seed - 1)
    fid, trained, bits = CELLS[levels]
    found = {FID: fid + 50 * shift, IS: 8.0 + shift}
    if bits is not None:
        rec, entropy, first, middle, last = bits
        found |= {f"{NLL}_L0": first, f"{NLL}_Lt": middle and middle + shift, f"{NLL}_LT": last}
        if space != "pixels":
            found |= {f"{NLL}_reconstruction": rec, f"{NLL}_entropy": entropy}
        found[NLL] = sum(value for name, value in found.items() if name.startswith(f"{NLL}_"))
    encoded = 0.0
    if space != "pixels":
        rfid, psnr, encoded = AUTOENCODERS[space]
        found |= {RFID: rfid + shift, PSNR: psnr + shift, "cost/autoencoder_seconds": 12.0 + shift}
        found |= {"cost/autoencoder_flops": encoded}
    if trained:
        found |= {"cost/train_flops": trained, "cost/train_seconds": 90.0 + 50 * shift}
    found |= {"cost/sample_flops": 2e6 if levels[1] == "vae" else trained / 5.76, "cost/sample_seconds": 9.0 + shift}
    return found | {"cost/total_flops": trained + encoded}


def curves():
    """The points of curves: none of a VAE, which has no t and no training of a diffusion."""
    t = np.arange(1, 1001, 37)
    for levels, (_, _, terms) in CELLS.items():
        for seed in SEEDS if levels[1] != "vae" else ():
            level = 1.0 if terms is None else terms[3]
            bits = level * (1 + 0.05 * seed) / t**1.2
            bits[0] = -0.5 if levels[0] == "f1" else bits[0]
            loss = (0.1 + 0.9 * np.exp(-t / 200)) * (1 + 0.02 * seed)
            table = {"bound_per_t": bits, "train/network": loss, "expected_weight": t**0.0}
            for name, y in table.items():
                yield from (("-".join(levels), seed, name, int(x), f"{v:.7g}") for x, v in zip(t, y, strict=True))


def write_images(folder):
    """Eight 8 × 8 originals, and what each autoencoder of the first seed makes of them; and samples of every cell."""
    folder.joinpath("reconstructions").mkdir()
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:8, :8]
    images = [255 * np.exp(-((x - a) ** 2 + (y - b) ** 2) / 6) for a, b in rng.uniform(2, 5, (8, 2))]
    strip = np.hstack(images)
    kept = {"originals": strip}
    for space, size in (("f1", 1), ("f2", 2), ("f4", 4), ("vq", 2)):
        coarse = strip.reshape(8 // size, size, -1, size).mean(axis=(1, 3))
        kept[autoencoder_id(space, 0)] = np.kron(coarse, np.ones((size, size)))
    for name, pixels in kept.items():
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "reconstructions" / f"{name}.png")
    folder.joinpath("samples").mkdir()
    for levels in CELLS:
        Image.fromarray(strip[:, :32].astype(np.uint8)).save(folder / "samples" / f"{'-'.join(levels)}-0.png")


def rows(keep=lambda space, run: True):
    """runs.csv, a dict per row, of the cells of these levels."""
    return [row(levels, seed) for levels in CELLS if keep(*levels) for seed in SEEDS]


def latent(folder, table=None, **changes):
    """A results folder."""
    question = "Is it better to diffuse in pixels or in latents, at equal steps and at equal compute?"
    told = {"name": "latent", "question": question, "layout": "ldm", "command": "python -m ablations.run grid=latent"}
    told |= {"horizon": 1000, "axes": AXES, "baseline": {"space": "pixels", "run": "steps"}, "metrics": METRICS}
    told |= {"footnotes": [], "device": "cpu (x86_64)"}
    folder.mkdir(parents=True)
    (folder / "grid.json").write_text(json.dumps(meta(**(told | changes)), ensure_ascii=False), encoding="utf-8")
    write_rows(folder, rows() if table is None else table)
    write_curves(folder, curves())
    write_images(folder)
    return folder
