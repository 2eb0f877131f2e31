"""Optimizers, and schedules for their learning rates."""
from .gradients import clip_grad_norm_ as clip_grad_norm_
from .optimizer import SGD as SGD
from .optimizer import Adam as Adam
from .optimizer import AdamW as AdamW
from .optimizer import Optimizer as Optimizer
from .schedules import CosineAnnealingLR as CosineAnnealingLR
from .schedules import LinearWarmup as LinearWarmup
from .schedules import MultiStepLR as MultiStepLR
from .schedules import ReduceLROnPlateau as ReduceLROnPlateau
from .schedules import Schedule as Schedule
from .schedules import StepLR as StepLR
