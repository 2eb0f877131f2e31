"""PyTorch's twin of a network of `models`, with the weights that all engines begin with.

It is made without minitensor's arrays, which would count as memory.
"""
from __future__ import annotations

from typing import Any

from ..job import Network, weights


def twin(torch: Any, network: Network) -> Any:
    """The torch.nn module, on either device."""
    from models.networks.build import table_of
    from models.weights.torch_twin import torch_twin
    table = table_of(network.name, network.num_classes, network.image_size, network.width)
    module = torch_twin(table, (3, network.image_size, network.image_size))
    with torch.no_grad():
        for index, parameter in enumerate(module.parameters()):
            parameter.copy_(torch.from_numpy(weights(tuple(parameter.shape), index)))
    return module
