"""The page docs/api.md: what `diffusion_core` offers, from `__all__` and docstrings.

python docs/api.py > docs/api.md
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from collections.abc import Iterator
from types import FunctionType

GROUPS = {
    "A model": ["choices", "diffusion", "denoiser", "chain", "reverse", "forward", "gamma", "moved"],
    "The axes": [
        "schedules",
        "parameterizations",
        "variances",
        "objectives",
        "timesteps",
        "couplings",
        "conditioning",
        "networks.network",
        "networks.unet",
        "networks.dit",
        "networks.mlp",
        "samplers",
        "solvers",
        "spacings",
        "guidance",
        "spaces",
    ],
    "Data": ["encodings", "latents", "autoencoder", "vae"],
    "Training": ["training", "trainer", "batches", "learner", "trainable", "population", "averages"],
    "Scores": ["likelihood", "iwae", "ode", "fitting"],
    "Checks": ["testing"],
}
"""The public modules of the core, in the order of the page."""

HEAD = """# The core's reference

Every public name of `diffusion_core`, by its file. In shapes B is a batch's examples, T the steps of the chain that is
trained on, K those of a chain that is visited; … are an example's own dimensions. [python.md](python.md) shows them at
work. Written from the docstrings by `python docs/api.py > docs/api.md`.
"""


def document() -> str:
    """The page's text."""
    return "\n".join([HEAD, *(line for title, names in GROUPS.items() for line in _group(title, names))])


def _group(title: str, names: list[str]) -> Iterator[str]:
    yield f"## {title}\n"
    for name in names:
        module = importlib.import_module(f"diffusion_core.{name}")
        yield f"### diffusion_core.{name}\n\n{_linked(inspect.getdoc(module) or '')}\n"
        offered = [getattr(module, offer) for offer in module.__all__]
        defined = [thing for thing in offered if inspect.isclass(thing) or inspect.isfunction(thing)]
        for thing in sorted(defined, key=lambda thing: inspect.getsourcelines(thing)[1]):
            yield from _entry(thing)


def _entry(thing: type | FunctionType) -> Iterator[str]:
    """A class or a function: its signature, what it says of itself, and the methods that it adds to its bases."""
    bases = [base.__name__ for base in getattr(thing, "__bases__", ()) if base.__module__.startswith("diffusion_core")]
    below = f" *below {', '.join(bases)}*" if bases else ""
    yield f"#### `{thing.__name__}{_signature(thing)}`{below}\n\n{_linked(inspect.getdoc(thing) or '')}\n"
    if inspect.isclass(thing):
        methods = [line for key, member in vars(thing).items() for line in _method(key, member)]
        if methods:
            yield "\n".join([*methods, ""])


def _method(name: str, member: object) -> Iterator[str]:
    """A line of a class's own method or property that says what it is."""
    function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
    # An override without words of its own does what its base says.
    text = inspect.cleandoc(function.__doc__ or "") if hasattr(function, "__get__") and name[0] != "_" else ""
    if text:
        signature = _signature(function) if inspect.isfunction(function) else ""
        yield f"- `{name}{signature}`: {_linked(' '.join(text.partition(chr(10) * 2)[0].split()))}"


def _signature(thing: type | FunctionType) -> str:
    """The arguments as they are written, without `self`."""
    if inspect.isclass(thing) and inspect.isabstract(thing) and not dataclasses.is_dataclass(thing):
        return ""
    text = str(inspect.signature(thing))
    text = re.sub(r"(: |-> )'([^']*)'", r"\1\2", text).removesuffix(" -> None")
    text = re.sub(r"<factory>|<function .* at \w+>", "…", text)
    return re.sub(r"\((?:self|cls)(?:, )?", "(", text)


def _linked(text: str) -> str:
    """A docstring whose papers are links."""
    return re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)


if __name__ == "__main__":
    print(document(), end="")
