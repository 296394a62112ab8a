"""The line with which a check fails: the choice, the rule, and the numbers that break it.

    Schedule Wavy: gamma must rise strictly, but falls at t=3 of T=25 (from 1.2 to 1.1)

A property is a function of a choice, and of further things that it is checked with; it raises an AssertionError of this
kind. Its name states the rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NoReturn

from torch import Tensor

from diffusion_core.named import axis_of, line_in
from diffusion_core.testing.variants import name

Property = Callable[..., None]
Place = Callable[[tuple[int, ...]], str]


def title(choice: object) -> str:
    """The axis of a choice and its name."""
    return f"{axis_of(type(choice)).__name__} {name(choice)}"


def fail(choice: object, rule: str, fact: str) -> NoReturn:
    """Raise the error that a choice breaks a rule, with the fact that shows it."""
    raise AssertionError(" ".join(f"{title(choice)}: {rule}, but {fact}".split()))


def require(choice: object, rule: str, holds: bool | Tensor, fact: str | Callable[[], str]) -> None:
    """Fail unless the rule holds; `fact` may be a function, which is called only on failure."""
    if not bool(holds):
        fail(choice, rule, fact if isinstance(fact, str) else fact())


def require_flag(choice: object, flag: str, whether: str, so: bool, fact: str) -> None:
    """Fail unless a flag of a choice says whether something is `so`."""
    value = getattr(choice, flag)
    require(choice, f"{flag} must say whether {whether}", value == so, f"{flag}={value}, and {fact}")


def require_equal(choice: object, rule: str, actual: Tensor, expected: Tensor, place: Place = str) -> None:
    """Fail unless both are the same numbers, of one type and shape, bit for bit."""
    require_close(choice, rule, actual, expected, rtol=0, place=place)


def require_close(
    choice: object, rule: str, actual: Tensor, expected: Tensor, *, rtol: float, atol: float = 0.0, place: Place = str
) -> None:
    """Fail unless |actual − expected| ≤ atol + rtol |expected| everywhere; `place` says in words where an index is."""
    if (actual.shape, actual.dtype) != (expected.shape, expected.dtype):
        fact = f"it gives {actual.dtype} {list(actual.shape)} where {expected.dtype} {list(expected.shape)} is right"
        fail(choice, rule, fact)
    actual, expected = actual.detach(), expected.detach()
    near = ((actual - expected).abs() <= atol + rtol * expected.abs()) | (actual == expected)
    if not bool(near.all()):
        at = tuple((~near).nonzero()[0].tolist())
        where = place(at)
        fail(choice, rule, f"it is {float(actual[at]):.7g} instead of {float(expected[at]):.7g} {where}")


def at_t(horizon: int) -> Place:
    """The place of an index that counts t = 1..T."""
    return lambda index: f"at t={index[0] + 1} of T={horizon}"


def at_times(t: Tensor, horizon: int) -> Place:
    """The place of an index into times t [B]."""
    return lambda index: f"at t={float(t[index[0]]):g} of T={horizon}"


def nowhere(index: tuple[int, ...]) -> str:
    """The place of a single number, for which no words are needed."""
    return ""


def run(properties: Iterable[Property], choice: object, *beside: object) -> None:
    """Check properties of a choice, each with the things `beside` it, up to the first that fails.

    An error that the choice itself raises is reported in one line too.
    """
    for holds in properties:
        try:
            holds(choice, *beside)
        except AssertionError:
            raise
        except Exception as error:
            raised = f"{type(error).__name__}: {error}".splitlines()[0] + line_in(error, [type(choice)])
            fail(choice, holds.__name__.replace("_", " "), f"it raises {raised}")
