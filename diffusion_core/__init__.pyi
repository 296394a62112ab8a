"""The public names of the core, each beside its file; `__init__.py` imports them when they are asked for."""

# A model.
from .autoencoder import KlAutoencoder as KlAutoencoder
from .autoencoder import VqAutoencoder as VqAutoencoder
from .averages import Average as Average
from .averages import Power as Power
from .averages import Raw as Raw
from .batches import Labelled as Labelled
from .chain import Chain as Chain

# Checks.
from .checking import check as check
from .choices import Choices as Choices
from .conditioning import Class as Class
from .conditioning import Conditioning as Conditioning
from .conditioning import Unconditional as Unconditional
from .couplings import Coupling as Coupling
from .couplings import Immiscible as Immiscible
from .couplings import Independent as Independent
from .couplings import Optimal as Optimal
from .diffusion import Diffusion as Diffusion
from .encodings import Continuous as Continuous

# Data.
from .encodings import Encoding as Encoding
from .encodings import GreyLevels as GreyLevels
from .fitting import with_fitted_variance as with_fitted_variance
from .fitting import with_optimal_spacing as with_optimal_spacing
from .forward import Step as Step
from .gamma import Gamma as Gamma
from .guidance import guided as guided
from .iwae import importance_weighted as importance_weighted
from .learner import DiffusionLearner as DiffusionLearner

# Scores.
from .likelihood import Bound as Bound
from .likelihood import bound as bound
from .likelihood import continuous_bound as continuous_bound
from .networks.dit import Dit as Dit
from .networks.mlp import Mlp as Mlp
from .networks.network import Network as Network
from .networks.unet import UNet as UNet
from .objectives import P2 as P2
from .objectives import EdmObjective as EdmObjective
from .objectives import Example as Example
from .objectives import Hybrid as Hybrid
from .objectives import MinSnr as MinSnr
from .objectives import NoiseLevels as NoiseLevels
from .objectives import Objective as Objective
from .objectives import Reweighted as Reweighted
from .objectives import Simple as Simple
from .objectives import Vlb as Vlb
from .objectives import VlbContinuous as VlbContinuous
from .objectives import Weighted as Weighted
from .ode import flow_likelihood as flow_likelihood
from .parameterizations import X0 as X0
from .parameterizations import EdmParameterization as EdmParameterization
from .parameterizations import Epsilon as Epsilon
from .parameterizations import Mu as Mu
from .parameterizations import Parameterization as Parameterization
from .parameterizations import V as V
from .parameterizations import Velocity as Velocity
from .reverse import Reverse as Reverse
from .samplers import Ancestral as Ancestral
from .samplers import Ddim as Ddim
from .samplers import Sampler as Sampler
from .samplers import sample as sample
from .schedules import Cosine as Cosine
from .schedules import LearnedLinear as LearnedLinear
from .schedules import LearnedSchedule as LearnedSchedule
from .schedules import Linear as Linear
from .schedules import LogSnrLinear as LogSnrLinear
from .schedules import Rectified as Rectified
from .schedules import Saved as Saved

# The axes: a base class, then its choices.
from .schedules import Schedule as Schedule
from .schedules import Sigmoid as Sigmoid
from .solvers import DpmSolver as DpmSolver
from .solvers import Heun as Heun
from .spaces import Latents as Latents
from .spaces import Pixels as Pixels
from .spaces import Space as Space
from .spacings import KarrasSpacing as KarrasSpacing
from .spacings import LevelSpacing as LevelSpacing
from .spacings import LogSnrSpacing as LogSnrSpacing
from .spacings import OptimalSpacing as OptimalSpacing
from .spacings import QuadraticSpacing as QuadraticSpacing
from .spacings import Spacing as Spacing
from .spacings import TrailingSpacing as TrailingSpacing
from .spacings import UniformSpacing as UniformSpacing
from .stratified import Stratification as Stratification
from .timesteps import Importance as Importance
from .timesteps import LogitNormal as LogitNormal
from .timesteps import LogNormal as LogNormal
from .timesteps import LowDiscrepancy as LowDiscrepancy
from .timesteps import Timesteps as Timesteps
from .timesteps import TimestepSampler as TimestepSampler
from .timesteps import Uniform as Uniform
from .trainer import train as train

# Training.
from .training import Training as Training
from .variances import Analytic as Analytic
from .variances import AnalyticMse as AnalyticMse
from .variances import Beta as Beta
from .variances import BetaTilde as BetaTilde
from .variances import LearnedDiagonal as LearnedDiagonal
from .variances import LearnedVariance as LearnedVariance
from .variances import Variance as Variance
