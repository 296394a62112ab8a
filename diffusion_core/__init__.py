"""The mathematics of diffusion models, as one choice of each axis: schedule, target, variance, objective, sampler, …

    import diffusion_core as dc

    model = dc.Diffusion(dc.Choices(network=dc.UNet(), horizon=1000), dc.GreyLevels(256), (1, 8, 8))
    model.initialise(seed=0)
    dc.train(dc.DiffusionLearner(model), images, dc.Training(steps=1000), seed=0)
    nll = dc.bound(model, held_out, seed=0).total.mean()
    samples = dc.sample(model, 16, dc.Ddim(steps=50), seed=0)

`__init__.pyi` lists what is public, each name beside its file. Nothing is imported before it is used: torch takes
seconds.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
