"""From a picture's file to logits with published weights: our steps against Pillow's and PyTorch's.
"""
import numpy as np
import pytest
from PIL import Image

from data import BuiltinPictures, load_image
from minitensor import Generator, Tensor, no_grad
from models.networks.build import build
from models.inputs.preprocessing import evaluation_transform
from models.training.checkpoints import load_network
from models.weights.layouts import TORCHVISION_NAMES

SIZES = [(300, 400), (401, 301), (256, 511), (90, 120), (700, 333)]          # width, height


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Drawn pictures of many sizes, one of them grey."""
    folder, drawn = tmp_path_factory.mktemp("pictures"), BuiltinPictures(len(SIZES), 96)
    for number, size in enumerate(SIZES):
        picture = Image.fromarray(drawn[number][0]).resize(size)
        (picture.convert("L") if number == 2 else picture).save(folder / f"{number}.jpg",
                                                                quality=90)
    return sorted(folder.iterdir())


def by_pillow_and_pytorch(torch, path):
    with Image.open(path) as picture:
        rgb = picture.convert("RGB")
    shorter = min(rgb.size)
    resized = rgb.resize([int(256 * side / shorter) for side in rgb.size],
                         Image.Resampling.BILINEAR)
    left, top = (round((side - 224) / 2) for side in resized.size)
    pixels = torch.tensor(np.array(resized.crop((left, top, left + 224,
                                                 top + 224)))).permute(2, 0, 1) / 255
    mean, std = (torch.tensor(values).reshape(3, 1, 1)
                 for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    return (pixels - mean) / std


def test_pictures_give_pytorchs_outputs(torch, paths, tmp_path):
    F, network = torch.nn.functional, build("torchvision", width=1 / 8, generator=Generator(0),
                                            init="he")
    state = {TORCHVISION_NAMES[name]: torch.tensor(np.ascontiguousarray(array))
             for name, array in network.state_dict().items()}
    torch.save(state, tmp_path / "alexnet.pth")

    x = torch.stack([by_pillow_and_pytorch(torch, path) for path in paths])
    for number, stride, padding in ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1)):
        x = F.relu(F.conv2d(x, state[f"features.{number}.weight"],
                            state[f"features.{number}.bias"], stride, padding))
        x = F.max_pool2d(x, 3, 2) if number in (0, 3, 10) else x
    x = F.adaptive_avg_pool2d(x, 6).flatten(1)
    for number in (1, 4, 6):
        x = F.linear(x if number == 1 else F.relu(x), state[f"classifier.{number}.weight"],
                     state[f"classifier.{number}.bias"])

    loaded, info = load_network(str(tmp_path / "alexnet.pth"))
    transform = evaluation_transform(info["preprocessing"])
    with no_grad():
        ours = loaded(Tensor(np.stack([transform(load_image(path), None) for path in paths]))).data
    expected = x.numpy()
    assert np.abs(ours - expected).max() <= 1e-5 * np.abs(expected).max()
