"""`convert`: published weights or a checkpoint, as a checkpoint of ours, as ONNX, or under torchvision's names."""
from __future__ import annotations

from pathlib import Path

from minitensor import checkpoint

from ..errors import UsageError, require, told
from ..training.run_folder import write_file
from ..training.checkpoints import header, in_json, load_network, picture_arrays
from ..weights.onnx import torchvision_arrays, write_onnx

SUFFIXES = (".safetensors", ".onnx")


def convert(source: str, target: str, torchvision: bool) -> int:
    """Write the network of source to target, whose suffix says how; torchvision: a plain safetensors file under torchvision's names."""
    path = Path(target)
    if path.suffix not in SUFFIXES or (torchvision and path.suffix != ".safetensors"):
        raise UsageError(f"{target} must end in {' or '.join(SUFFIXES[:1] if torchvision else SUFFIXES)}")
    if path.suffix == ".onnx":
        require("onnx")
    network, info = load_network(source)
    info = header(network, info["classes"], info["preprocessing"])
    if path.suffix == ".onnx":
        write_file(path, lambda partial: write_onnx(partial, network, in_json(info)))
    elif torchvision:
        from safetensors.numpy import save_file
        with told(ValueError):
            arrays = torchvision_arrays(network)
        write_file(path, lambda partial: save_file(arrays, partial, metadata={"format": "pt"}))
    else:
        checkpoint.save(path, {**network.state_dict(), **picture_arrays(info)}, in_json(info))
    print(f"{target}: {network.name}, {network.num_parameters():,} parameters, {len(info['classes']):,} classes")
    return 0
