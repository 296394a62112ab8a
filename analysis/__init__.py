"""Tables, figures and verdicts from a results folder, without torch: `analysis.read("results/NAME")` gives frames."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
