"""Optimisers, and schedules for their learning rates."""
from .optimizer import SGD as SGD
from .schedules import CosineAnnealingLR as CosineAnnealingLR
from .schedules import MultiStepLR as MultiStepLR
from .schedules import ReduceLROnPlateau as ReduceLROnPlateau
from .schedules import Schedule as Schedule
from .schedules import StepLR as StepLR
