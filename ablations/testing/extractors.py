"""Rules of every network that features come from: they are as wide as declared, and each image's alone.

With whatever weights it has: an author's own, or those that its layers start from.
"""

from __future__ import annotations

import copy
import itertools

import torch
from torch import Tensor

from ablations.metrics.extractors.architectures import Architecture, Extractor, features
from diffusion_core.randomness import seeded
from diffusion_core.testing.saying import Property, fail, require, require_close, require_equal

CPU = torch.device("cpu")
ANY_SIDE = 16


def frozen(architecture: Architecture) -> Extractor:
    """An extractor with these weights."""
    module = copy.deepcopy(architecture).eval().requires_grad_(False)
    return Extractor(type(architecture).__name__, "", None, module)


def images_of(architecture: Architecture, n: int = 5) -> list[Tensor]:
    """n images of noise [n, C, H, W] of each shape that it takes, of all its levels."""
    generator = torch.Generator().manual_seed(0)
    shapes = itertools.product(architecture.channels, architecture.sides or (ANY_SIDE,))
    return [
        torch.randint(architecture.levels, (n, channels, side, side), generator=generator, dtype=torch.int64).to(
            torch.uint8
        )
        for channels, side in shapes
    ]


def at_image(index: tuple[int, ...]) -> str:
    """The place of an index that counts images."""
    return f"in image {index[0]}"


def features_are_as_wide_as_declared_and_finite(architecture: Architecture) -> None:
    """φ is float32 [B, width], logits float32 [B, classes]."""
    module = frozen(architecture).module
    for images in images_of(architecture):
        out = module(images)
        for what, value, width in zip(("features", "logits"), out, (module.width, module.classes), strict=True):
            shape = (len(images), width)
            outputs = f"for images {list(images.shape)} they are {value.dtype} {list(value.shape)}"
            fits = value.shape == shape and value.dtype == torch.float32
            require(architecture, f"{what} must be float32 {list(shape)}", fits, outputs)
            require(
                architecture,
                f"{what} must be finite",
                value.isfinite().all(),
                f"for images {list(images.shape)} they are not",
            )


def features_are_float64_on_the_cpu_and_do_not_see_autocast(architecture: Architecture) -> None:
    """Distances between distributions are worked out in float64, from features in float32."""
    extractor = frozen(architecture)
    for images in images_of(architecture):
        plain, _ = features(extractor, images, CPU)
        with torch.autocast("cpu", torch.bfloat16):
            inside, _ = features(extractor, images, CPU)
        require(
            architecture, "collected features must be float64", plain.dtype == torch.float64, f"they are {plain.dtype}"
        )
        require_equal(architecture, "features must be the same under autocast", inside, plain, at_image)


def features_are_each_images_alone(architecture: Architecture) -> None:
    """An image's features do not depend on the batch, nor on anything that is drawn."""
    module = frozen(architecture).module
    for images in images_of(architecture):
        whole, _ = module(images)
        with seeded(1, "the global generator"):
            alone = torch.cat([module(image[None])[0] for image in images])
        rule = "features of an image must not depend on its batch or on chance"
        require_close(architecture, rule, alone, whole, rtol=1e-4, atol=1e-4, place=at_image)


def every_feature_tells_images_apart(architecture: Architecture) -> None:
    """A feature that is one number for all images has no standard deviation, in whose units KID takes it."""
    if not architecture.standardised:
        return
    extractor = frozen(architecture)
    for images in images_of(architecture, 40):
        spread = features(extractor, images, CPU)[0].std(0)
        idle = int((spread == 0).sum())
        failing = f"{idle} of {len(spread)} are one number for 40 images of noise: end in a smooth non-linearity"
        require(architecture, "every feature must tell images apart", idle == 0, failing)


def other_images_are_refused(architecture: Architecture) -> None:
    """A ValueError for what it was not made for: another type, shape or level."""
    right = images_of(architecture)[0]
    wrong = {
        "float32 images": right.float(),
        "images without channels": right[:, 0],
        f"{max(architecture.channels) + 1} channels": right[:, :1].expand(-1, max(architecture.channels) + 1, -1, -1),
        "no images": right[:0],
    }
    if architecture.levels < 256:
        wrong[f"level {architecture.levels}"] = torch.full_like(right, architecture.levels)
    for what, images in wrong.items():
        try:
            architecture.check("it", images)
        except ValueError:
            continue
        fail(architecture, f"{what} must be refused by check", "they are taken")


def a_file_of_weights_is_all_that_it_is(architecture: Architecture) -> None:
    """Built without memory and filled from its holder's state_dict, as it is read from a file, it gives the same."""
    state = {name: value.clone() for name, value in architecture.holder.state_dict().items()}
    with torch.device("meta"):
        empty = type(architecture)()
    empty.holder.load_state_dict(state, assign=True)
    rule = "filled from the state_dict of its holder, it must give the same features"
    left = [name for name, value in [*empty.named_parameters(), *empty.named_buffers()] if value.is_meta]
    require(architecture, rule, not left, lambda: f"{', '.join(left)} is in no file: keep it in holder's state_dict")
    filled = frozen(empty)
    for images in images_of(architecture):
        refilled, original = (features(extractor, images, CPU)[0] for extractor in (filled, frozen(architecture)))
        require_equal(architecture, rule, refilled, original, at_image)


PROPERTIES: tuple[Property, ...] = (
    features_are_as_wide_as_declared_and_finite,
    features_are_each_images_alone,
    features_are_float64_on_the_cpu_and_do_not_see_autocast,
    every_feature_tells_images_apart,
    other_images_are_refused,
    a_file_of_weights_is_all_that_it_is,
)
