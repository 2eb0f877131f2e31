"""Layers with parameters, and the containers that hold them."""
from . import init as init
from .layers import AdaptiveAvgPool2d as AdaptiveAvgPool2d
from .layers import AvgPool2d as AvgPool2d
from .layers import Conv2d as Conv2d
from .layers import Dropout as Dropout
from .layers import Flatten as Flatten
from .layers import Linear as Linear
from .layers import LocalResponseNorm as LocalResponseNorm
from .layers import MaxPool2d as MaxPool2d
from .layers import ReLU as ReLU
from .layers import Sigmoid as Sigmoid
from .layers import Softmax as Softmax
from .layers import Tanh as Tanh
from .module import Module as Module
from .module import Parameter as Parameter
from .module import Sequential as Sequential
from .summary import summary as summary
