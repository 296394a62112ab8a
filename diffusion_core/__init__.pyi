"""The public names of the core, each beside its file: docs/api.md shows them, and `__init__.py` imports them when asked."""

# A model.
from .choices import Choices as Choices
from .diffusion import Diffusion as Diffusion
from .chain import Chain as Chain
from .forward import Step as Step
from .gamma import Gamma as Gamma
from .reverse import Reverse as Reverse

# The axes: a base class, then its choices.
from .schedules import Schedule as Schedule
from .schedules import Linear as Linear
from .schedules import Cosine as Cosine
from .schedules import Sigmoid as Sigmoid
from .schedules import Rectified as Rectified
from .schedules import LogSnrLinear as LogSnrLinear
from .schedules import LearnedLinear as LearnedLinear
from .schedules import LearnedSchedule as LearnedSchedule
from .schedules import Saved as Saved
from .parameterizations import Parameterization as Parameterization
from .parameterizations import Epsilon as Epsilon
from .parameterizations import X0 as X0
from .parameterizations import Mu as Mu
from .parameterizations import V as V
from .parameterizations import Velocity as Velocity
from .parameterizations import EdmParameterization as EdmParameterization
from .variances import Variance as Variance
from .variances import Beta as Beta
from .variances import BetaTilde as BetaTilde
from .variances import LearnedVariance as LearnedVariance
from .variances import LearnedDiagonal as LearnedDiagonal
from .variances import Analytic as Analytic
from .variances import AnalyticMse as AnalyticMse
from .objectives import Objective as Objective
from .objectives import Simple as Simple
from .objectives import Hybrid as Hybrid
from .objectives import Weighted as Weighted
from .objectives import MinSnr as MinSnr
from .objectives import P2 as P2
from .objectives import EdmObjective as EdmObjective
from .objectives import Vlb as Vlb
from .objectives import VlbContinuous as VlbContinuous
from .objectives import Reweighted as Reweighted
from .objectives import NoiseLevels as NoiseLevels
from .objectives import Example as Example
from .timesteps import Timesteps as Timesteps
from .timesteps import TimestepSampler as TimestepSampler
from .timesteps import Uniform as Uniform
from .timesteps import LowDiscrepancy as LowDiscrepancy
from .timesteps import Importance as Importance
from .timesteps import LogitNormal as LogitNormal
from .timesteps import LogNormal as LogNormal
from .couplings import Coupling as Coupling
from .couplings import Independent as Independent
from .couplings import Optimal as Optimal
from .couplings import Immiscible as Immiscible
from .conditioning import Conditioning as Conditioning
from .conditioning import Unconditional as Unconditional
from .conditioning import Class as Class
from .networks.network import Network as Network
from .networks.unet import UNet as UNet
from .networks.dit import Dit as Dit
from .networks.mlp import Mlp as Mlp
from .samplers import Sampler as Sampler
from .samplers import Ancestral as Ancestral
from .samplers import Ddim as Ddim
from .solvers import Heun as Heun
from .solvers import DpmSolver as DpmSolver
from .spacings import Spacing as Spacing
from .spacings import UniformSpacing as UniformSpacing
from .spacings import TrailingSpacing as TrailingSpacing
from .spacings import QuadraticSpacing as QuadraticSpacing
from .spacings import LevelSpacing as LevelSpacing
from .spacings import LogSnrSpacing as LogSnrSpacing
from .spacings import KarrasSpacing as KarrasSpacing
from .spacings import OptimalSpacing as OptimalSpacing
from .guidance import guided as guided
from .averages import Average as Average
from .averages import Raw as Raw
from .averages import Power as Power
from .spaces import Space as Space
from .spaces import Pixels as Pixels
from .spaces import Latents as Latents
from .autoencoder import KlAutoencoder as KlAutoencoder
from .autoencoder import VqAutoencoder as VqAutoencoder

# Data.
from .encodings import Encoding as Encoding
from .encodings import GreyLevels as GreyLevels
from .encodings import Continuous as Continuous
from .batches import Labelled as Labelled

# Training.
from .training import Training as Training
from .learner import DiffusionLearner as DiffusionLearner
from .trainer import train as train
from .trainer import trained as trained

# Scores.
from .likelihood import Bound as Bound
from .likelihood import bound as bound
from .likelihood import continuous_bound as continuous_bound
from .stratified import Stratification as Stratification
from .iwae import importance_weighted as importance_weighted
from .ode import flow_likelihood as flow_likelihood
from .fitting import with_fitted_variance as with_fitted_variance
from .fitting import with_optimal_spacing as with_optimal_spacing

# Checks.
from .checking import check as check
