"""Experiments on the design choices of diffusion models, by commands or from Python.

    @ablations.register                                  a class of one's own as a choice of its axis
    ablations.check(Cubic())                             AssertionError, in one line, unless such a class works
    ablations.main(["grid=variance", "seeds=5"])         what `python -m ablations.run grid=variance seeds=5` does
    ablations.run("grid=variance", "seeds=5")            the same, and its frames: .runs, .curves, .comparisons, .cells
    ablations.run_search("study=schedule", "trials=40")  a search, and its frames: .trials, .rungs

The words are those of the command line. Nothing is imported before it is used: torch and MLflow take seconds.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
