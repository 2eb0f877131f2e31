"""Layers with parameters, and the containers that hold them."""
from . import init as init
from .activation import ReLU as ReLU
from .activation import Sigmoid as Sigmoid
from .activation import Softmax as Softmax
from .activation import Tanh as Tanh
from .containers import Sequential as Sequential
from .conv import Conv2d as Conv2d
from .dropout import Dropout as Dropout
from .linear import Linear as Linear
from .module import Module as Module
from .module import Parameter as Parameter
from .norm import LocalResponseNorm as LocalResponseNorm
from .pool import AdaptiveAvgPool2d as AdaptiveAvgPool2d
from .pool import AvgPool2d as AvgPool2d
from .pool import MaxPool2d as MaxPool2d
from .shape import Flatten as Flatten
from .summary import summary as summary
