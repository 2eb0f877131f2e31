"""Published weights: files as their real writers make them, with random numbers, must give the
writers' own outputs."""
import json
import re

import numpy as np
import pytest
from safetensors.numpy import save_file

from minitensor import Generator, Tensor, no_grad
from models.networks.build import build
from models.weights.imagenet import classes, names, readable
from models.training.checkpoints import load_network
from models.weights import WeightsError, load
from models.weights.layouts import TORCHVISION_NAMES
from models_cli import Said, complaint, make_folder, models


def logits(network, x):
    with no_grad():
        return network(Tensor(x)).data


def pictures(size, count=2):
    return np.random.default_rng(0).standard_normal((count, 3, size, size)).astype(np.float32)


# ---- PyTorch -----------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def torchvision(torch):
    """torchvision.models.alexnet a sixteenth as wide, written with PyTorch's own layers, every
    parameter random."""
    nn = torch.nn
    torch.manual_seed(0)

    class AlexNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.features = nn.Sequential(
                nn.Conv2d(3, 4, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2),
                nn.Conv2d(4, 12, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
                nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(), nn.Conv2d(24, 16, 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2))
            self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
            self.classifier = nn.Sequential(nn.Dropout(), nn.Linear(16 * 36, 256), nn.ReLU(),
                                            nn.Dropout(), nn.Linear(256, 256),
                                            nn.ReLU(), nn.Linear(256, 1000))

        def forward(self, x):
            return self.classifier(self.avgpool(self.features(x)).flatten(1))
    return AlexNet().eval()


def written_by_pytorch(torch, model, path, how):
    state = model.state_dict()
    if how == "safetensors":
        from safetensors.torch import save_file
        save_file(state, path)
    else:
        if how == "training script":
            state = {"epoch": 3, "state_dict": state}
        elif how == "parameters":
            state = dict(model.named_parameters())
        torch.save(state, path, _use_new_zipfile_serialization=how != "legacy")
    return path


@pytest.mark.parametrize("how", ["zip", "legacy", "safetensors", "training script", "parameters"])
def test_pytorchs_files_give_pytorchs_outputs(how, torch, torchvision, tmp_path):
    network, info = load_network(str(written_by_pytorch(torch, torchvision,
                                                        tmp_path / "alexnet.weights", how)))
    assert (info["network"], info["config"]["image_size"],
            len(info["classes"])) == ("torchvision", 224, 1000)
    assert info["preprocessing"] == {"resize": 256, "crop": 224, "mean": [0.485, 0.456, 0.406],
                                     "std": [0.229, 0.224, 0.225]}
    x = pictures(224)
    with torch.no_grad():
        expected = torchvision(torch.tensor(x)).numpy()
    assert np.abs(logits(network, x) - expected).max() <= 1e-5 * np.abs(expected).max()


def test_a_state_dict_of_the_seed_network_is_told_apart(torch, tmp_path):
    ours = build("alexnet", 10, 99, 1 / 16, generator=Generator(0)).eval()
    torch.save({name: torch.tensor(np.ascontiguousarray(array))
                for name, array in ours.state_dict().items()}, tmp_path / "seed.pth")
    network, info = load_network(str(tmp_path / "seed.pth"))
    assert (info["network"], info["config"]["image_size"],
            info["classes"][9]) == ("alexnet", 99, "class 9")
    np.testing.assert_array_equal(logits(network, pictures(99)), logits(ours, pictures(99)))


def test_a_state_dict_saved_from_data_parallel(tmp_path):
    ours = build("torchvision", 10, 63, 1 / 16, generator=Generator(0)).state_dict()
    theirs = {"module." + TORCHVISION_NAMES[name]: np.ascontiguousarray(array)
              for name, array in ours.items()}
    save_file(theirs, tmp_path / "parallel.safetensors")
    arrays, info = load(str(tmp_path / "parallel.safetensors"))
    assert info["network"] == "torchvision" and arrays.keys() == ours.keys()
    assert all((arrays[name] == ours[name]).all() for name in ours)
    save_file({**theirs, "other": theirs["module.features.0.bias"]}, tmp_path / "some.safetensors")
    said = Said()
    assert load(str(tmp_path / "some.safetensors"), said)[0].keys() == ours.keys()
    assert said.lines == ["warning: " + str(tmp_path / "some.safetensors")
                          + ": not taken, as no part of the network: other"]


# ---- the 1,000 classes -------------------------------------------------------------------------

def test_the_classes_of_imagenet():
    assert len(names()) == 1000 and list(names()) == sorted(names()) == classes(1000)
    assert readable("n01440764") == "tench"
    assert list(names().values())[-1] == "toilet tissue"
    assert readable("cat") == "cat"


def test_classify_prints_names(torch, torchvision, tmp_path, capsys):
    path = written_by_pytorch(torch, torchvision, tmp_path / "alexnet.pth", "zip")
    folder = make_folder(tmp_path / "pictures", classes=["n01440764"], pictures=1)
    assert models("classify", "--weights", path, folder) == 0
    title, *bars = capsys.readouterr().out.splitlines()
    assert title.endswith("0.png (tench)") and len(bars) == 5
    assert {re.match(r" [* ] (.+?) +\d+\.\d%", bar)[1] for bar in bars} <= set(names().values())


def test_evaluate_on_some_of_the_classes(torch, torchvision, tmp_path, capsys):
    path = written_by_pytorch(torch, torchvision, tmp_path / "alexnet.pth", "zip")
    folder = make_folder(tmp_path / "pictures", classes=["n01440764", "n15075141"], pictures=2)
    assert models("evaluate", "--weights", path, "--data", folder, "--workers", 0) == 0
    assert "on 4 pictures" in capsys.readouterr().out
    assert models("evaluate", "--weights", path) == 2 and "--data is required" in complaint(capsys)
    assert models("evaluate", "--data",
                  folder) == 2 and "give a CHECKPOINT or --weights" in complaint(capsys)


def test_files_that_are_no_weights(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_text("conv1")
    (tmp_path / "json").write_text(json.dumps({"conv1": 1}))
    (tmp_path / "ours.onnx").write_bytes(b"\x08\x08")
    for name, message in (("empty", "it is empty"),
                          ("json", "no index of weights in several files"),
                          ("text", "none of the kinds of files that hold weights"),
                          ("none", "No such file"),
                          ("ours.onnx", "ONNX is only written here")):
        with pytest.raises(WeightsError, match=f"{tmp_path / name} cannot be used as weights: "
                           f".*{message}"):
            load(str(tmp_path / name))
