"""Caffe's VGG and GoogLeNet, written here byte by byte, against the same networks in PyTorch."""
import numpy as np
import pytest

import inception_twins
from minitensor import Tensor, no_grad
from models.training.checkpoints import load_network
from models.weights import WeightsError, load
from models_cli import Said, complaint, models
from test_heirs import VGGS, torch_vgg
from test_weights_caffe import blob, field

VGG_MEAN, GOOGLENET_MEAN = (103.939, 116.779, 123.68), (104.0, 117.0, 123.0)     # blue, green, red


def caffemodel(layers, how):
    """NetParameter of layers {name: blobs} as Caffe wrote it: layers with shapes, V1 or V0."""
    messages = []
    for name, blobs in layers.items():
        own = field(1, name.encode()) + field(2, b"conv")
        if how == "V0":
            inner = own + b"".join(field(50, blob(part, old=True)) for part in blobs)
            messages.append(field(2, field(1, inner) + field(2, b"bottom") + field(3, b"top")))
        elif how == "V1":
            inner = field(2, b"bottom") + field(4, name.encode()) + field(5, 4)
            messages.append(field(2, inner + b"".join(field(6, blob(part, old=True))
                                                      for part in blobs)))
        else:
            messages.append(field(100, own + b"".join(field(7, blob(part, old=False))
                                                      for part in blobs)))
    return field(1, b"net") + b"".join(messages)


def rounded(torch, model):
    """The model in float64 with values that float32 has, biases far from 0."""
    for parameter in model.parameters():
        parameter.data = (parameter.data.float() if parameter.ndim > 1 else
                          torch.rand(parameter.shape) - 0.5).double()
    return model.eval()


def assert_gives(path, model, mean, torch):
    """That the network, of pictures prepared as its recipe says, gives the model's logits."""
    network, metadata = load_network(str(path))
    p, size = metadata["preprocessing"], metadata["config"]["image_size"]
    pixels = np.random.default_rng(1).integers(0, 256, (2, 3, size, size))          # red first
    means, std = (np.array(p[key]).reshape(3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        expected = model(torch.tensor(pixels[:, ::-1] - np.array(mean).reshape(3, 1, 1))).numpy()
    with no_grad():
        logits = network(Tensor(((pixels / 255 - means) / std).astype(np.float32))).data
    np.testing.assert_allclose(logits, expected, atol=2e-5 * np.abs(expected).max())
    return metadata


def vgg(torch, name):
    """({layer: blobs} of Caffe's, a sixteenth as wide, the model)."""
    torch.manual_seed(0)
    model = rounded(torch, torch_vgg(torch, VGGS[name], False, 4, 256, 1000))
    state = [tensor.numpy() for tensor in model.state_dict().values()]
    names = [f"conv{stage}_{i}" for stage, count in enumerate(VGGS[name], 1)
             for i in range(1, count + 1)] + ["fc6", "fc7", "fc8"]
    pairs = zip(state[::2], state[1::2], strict=True)
    return {"data": (), **dict(zip(names, pairs, strict=True)), "prob": ()}, model


@pytest.mark.parametrize("how", ["layer", "V1", "V0"])
@pytest.mark.parametrize("name", ["vgg16", "vgg19"])
def test_caffes_vgg(name, how, torch, tmp_path):
    layers, model = vgg(torch, name)
    path = tmp_path / "VGG_ILSVRC_layers.caffemodel"
    path.write_bytes(caffemodel(layers, how))
    metadata = assert_gives(path, model, VGG_MEAN, torch)
    p = metadata["preprocessing"]
    assert metadata["network"] == name and metadata["config"]["width"] == 1 / 16
    assert (p["resize"], p["crop"], p.get("squash")) == (256, 224, None)
    assert [255 * value for value in p["mean"]] == pytest.approx(VGG_MEAN[::-1])


def test_caffes_vgg_under_torchvisions_names_sees_red_first(torch, tmp_path, capsys):
    from safetensors.torch import load_file
    layers, model = vgg(torch, "vgg16")
    (tmp_path / "in.caffemodel").write_bytes(caffemodel(layers, "V1"))
    assert models("convert", tmp_path / "in.caffemodel", tmp_path / "out.safetensors",
                  "--torchvision") == 0
    assert ("its pictures are normalised with mean 0.485 0.458 0.4076 and std 0.003922 0.003922 "
            "0.003922, for torchvision's own vgg16 with 0.485 0.456 0.406 and 0.229 0.224 0.225"
            ) in complaint(capsys)
    x = torch.rand(1, 3, 224, 224, dtype=torch.float64)
    with torch.no_grad():
        expected = model(x.flip(1))
        model.load_state_dict(load_file(tmp_path / "out.safetensors"), strict=True)
        torch.testing.assert_close(model(x), expected)


def googlenet(torch):
    """({layer: blobs} of Caffe's, an eighth as wide, the model)."""
    torch.manual_seed(0)
    model = rounded(torch, inception_twins.caffe_googlenet(torch, 8, 1000))
    layers = {}
    for name, tensor in model.state_dict().items():
        layers.setdefault(name.rpartition(".")[0], []).append(tensor.numpy())
    return layers, model


@pytest.mark.parametrize("heads", [True, False], ids=["with heads", "without"])
@pytest.mark.parametrize("how", ["layer", "V1"])
def test_caffes_googlenet(how, heads, torch, tmp_path):
    layers, model = googlenet(torch)
    if not heads:
        layers = {name: blobs for name, blobs in layers.items()
                  if not name.startswith(("loss1", "loss2"))}
    path = tmp_path / "bvlc_googlenet.caffemodel"
    path.write_bytes(caffemodel(layers, how))
    metadata = assert_gives(path, model, GOOGLENET_MEAN, torch)
    p = metadata["preprocessing"]
    assert metadata["network"] == "caffe-googlenet" and p["squash"]
    assert [255 * value for value in p["mean"]] == pytest.approx(GOOGLENET_MEAN[::-1])
    assert metadata["config"]["ablations"] == ([] if heads else ["no-heads"])


def test_last_layers_of_googlenet_under_other_names(torch, tmp_path):
    layers, _ = googlenet(torch)
    path, said = tmp_path / "mine.caffemodel", Said()
    path.write_bytes(caffemodel({name.replace("classifier", "mine"): blobs
                                 for name, blobs in layers.items()}, "layer"))
    arrays, metadata = load(str(path), said)
    assert metadata["network"] == "caffe-googlenet"
    assert arrays["loss1.classifier.weight"].shape == (1000, 128)
    assert [line.rpartition(": ")[2] for line in said.lines] == [
        f"its loss{i}/mine is taken as loss{i}/classifier" for i in (1, 2, 3)]
    path.write_bytes(caffemodel({**layers, "extra/a": layers["conv1/7x7_s2"]}, "layer"))
    with pytest.raises(WeightsError, match="beside the layers of caffe-googlenet it holds extra/a"):
        load(str(path))
