"""Caffe's and Toronto's files, made here byte by byte or by NumPy, must give what PyTorch computes
from the same arrays."""
import pickle
import struct

import numpy as np
import pytest

from minitensor import Tensor, no_grad
from models.training.checkpoints import load_network
from models.weights import WeightsError, load
from models_cli import Said

NO_SIZE = b"J\xff\xff\xff\xff" * 2


def logits(network, x):
    with no_grad():
        return network(Tensor(x)).data


def caffe_layers(width=1 / 8, groups=2, size=67, seed=0):
    """{layer: (weight, bias)} as Caffe has them: random, blue first."""
    rng = np.random.default_rng(seed)
    c1, c2, c3, c4, c5, f6, f7 = (round(width * full)
                                  for full in (96, 256, 384, 384, 256, 4096, 4096))
    side = {67: 1, 99: 2}[size]
    shapes = {"conv1": (c1, 3, 11, 11), "conv2": (c2, c1 // groups, 5, 5), "conv3": (c3, c2, 3, 3),
              "conv4": (c4, c3 // groups, 3, 3),
              "conv5": (c5, c4 // groups, 3, 3), "fc6": (f6, c5 * side * side), "fc7": (f7, f6),
              "fc8": (1000, f7)}
    return {name: ((rng.standard_normal(shape) * (2 / np.prod(shape[1:]))**0.5).astype(np.float32),
                   rng.standard_normal(shape[0]).astype(np.float32) / 10)
            for name, shape in shapes.items()}


def by_pytorch(torch, layers, x, pool_first):
    """Logits of Caffe's network by PyTorch's functions, from pictures x (N, 3, H, W) in bytes, red
    first."""
    F = torch.nn.functional
    mean = torch.tensor([104.007, 116.669, 122.679]).reshape(3, 1, 1)
    y = torch.tensor(x)[:, [2, 1, 0]] - mean
    parameters = {name: [torch.tensor(array) for array in parts] for name, parts in layers.items()}
    groups = len(parameters["conv1"][0]) // parameters["conv2"][0].shape[1]
    for name, stride, padding in (("conv1", 4, 0), ("conv2", 1, 2), ("conv3", 1, 1),
                                  ("conv4", 1, 1), ("conv5", 1, 1)):
        y = F.relu(F.conv2d(y, *parameters[name], stride, padding, groups=groups
                            if name in ("conv2", "conv4", "conv5") else 1))
        if name in ("conv1", "conv2"):
            steps = [lambda y: F.local_response_norm(y, 5, 1e-4, 0.75, 1.0),
                     lambda y: F.max_pool2d(y, 3, 2)]
            for step in steps[::-1] if pool_first else steps:
                y = step(y)
    y = F.max_pool2d(y, 3, 2).flatten(1)
    for name in ("fc6", "fc7", "fc8"):
        y = F.linear(F.relu(y) if name != "fc6" else y, *parameters[name])
    return y.numpy()


def assert_gives(path, expected_network, torch, layers, size, pool_first=False):
    network, info = load_network(str(path))
    assert (info["network"], info["config"]["image_size"]) == (expected_network, size)
    p = info["preprocessing"]
    assert p["squash"] and p["crop"] == size
    x = np.random.default_rng(1).integers(0, 256, (2, 3, size, size)).astype(np.float32)
    mean, std = (np.array(p[key], np.float32).reshape(3, 1, 1) for key in ("mean", "std"))
    expected = by_pytorch(torch, layers, x, pool_first)
    assert np.abs(logits(network, (x / 255 - mean) / std)
                  - expected).max() <= 1e-5 * np.abs(expected).max()


def toronto(layers):
    """The dict in bvlc_alexnet.npy: (KH, KW, in, out), and fc6 fed in the order (h, w, c)."""
    result = {name: [w.transpose(2, 3, 1, 0) if w.ndim == 4 else w.T, b]
              for name, (w, b) in layers.items()}
    channels = layers["conv5"][0].shape[0]
    inputs = layers["fc6"][0].shape[1]
    side = round((inputs / channels)**0.5)
    result["fc6"][0] = layers["fc6"][0].T.reshape(channels, side, side,
                                                  -1).transpose(1, 2, 0, 3).reshape(inputs, -1)
    return result


def numpy_2_pickle(layers):
    """The .npy as Python 2 wrote it: protocol 2, and arrays' bytes as its byte strings, which no
    Python 3 writes."""
    header = b"{'descr': 'O', 'fortran_order': False, 'shape': (), }".ljust(117) + b"\n"
    out = [b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header,
           b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01"
           b"cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87R(K\x01)",
           b"cnumpy\ndtype\nq\x03U\x02O8K\x00K\x01\x87R(K\x03U\x01|NNN" + NO_SIZE + b"K?tb\x89]}("]

    def array(a):
        fortran = not a.flags.c_contiguous
        shape = pickle.dumps(a.shape, 2)[2:-1]
        return (b"h\x01h\x02K\x00\x85U\x01b\x87R(K\x01" + shape
                + b"h\x03U\x02f4K\x00K\x01\x87R(K\x03U\x01<NNN" + NO_SIZE + b"K\x00tb"
                + (b"\x88" if fortran else b"\x89") + b"T" + struct.pack("<I", a.nbytes)
                + a.tobytes("F" if fortran else "C") + b"tb")
    for name, parts in layers.items():
        out.append(b"U" + bytes([len(name)]) + name.encode() + b"](" + b"".join(map(array, parts))
                   + b"e")
    return b"".join(out) + b"uatb."


@pytest.mark.parametrize("how", ["python 2", "numpy", "protocol 2", "by name"])
@pytest.mark.parametrize("size", [67, 99])
def test_torontos_file(how, size, torch, tmp_path):
    layers = caffe_layers(1 / 16, size=size)
    path = tmp_path / "bvlc_alexnet.npy"
    if how == "python 2":
        path.write_bytes(numpy_2_pickle(toronto(layers)))
        assert np.load(path, allow_pickle=True,
                       encoding="latin1").item().keys() == layers.keys(), "NumPy reads it too"
    elif how == "by name":              # as caffe-tensorflow writes it
        np.save(path, {name: {"weights": w, "biases": b}
                       for name, (w, b) in toronto(layers).items()})
    elif how == "numpy":
        np.save(path, np.array(toronto(layers), object))
    else:
        np.save(path, np.array({}, object))
        start = path.read_bytes()[:128]
        path.write_bytes(start + pickle.dumps(np.array(toronto(layers), object), 2))
    assert_gives(path, "caffe-alexnet", torch, layers, size)


# the wire format written apart from the reader: tag, varint, length

def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def blob(array, old):
    data = field(5, array.astype("<f4").tobytes())
    if old:
        four = (1,) * (4 - array.ndim) + array.shape
        return b"".join(field(i, n) for i, n in enumerate(four, 1)) + data
    return data + field(7, field(1, b"".join(map(varint, array.shape))))


ORDER = ("data", "conv1", "relu1", "norm1", "pool1", "conv2", "relu2", "conv3", "conv4", "conv5",
         "pool5", "fc6", "drop6", "fc7", "fc8", "loss")


def caffemodel(layers, pool_first=False, old=False, order=ORDER):
    """NetParameter with the layers between which Caffe's files have pools and norms; old:
    V1LayerParameter, four dimensions."""
    if pool_first:
        order = [{"norm1": "pool1", "pool1": "norm1"}.get(name, name) for name in order]
    number, name_field, kind, blobs = (2, 4, field(5, 4),
                                       6) if old else (100, 1, field(2, b"Convolution"), 7)
    messages = [field(name_field, name.encode()) + kind
                + b"".join(field(blobs, blob(part, old)) for part in layers.get(name, ()))
                + field(3, b"top") for name in order]
    return field(1, b"AlexNet") + b"".join(field(number, message) for message in messages)


@pytest.mark.parametrize("old", [False, True], ids=["layer", "V1"])
@pytest.mark.parametrize("pool_first, network", [(False, "caffe-alexnet"), (True, "caffenet")])
def test_caffes_files(old, pool_first, network, torch, tmp_path):
    layers = caffe_layers()
    (tmp_path / "alexnet.caffemodel").write_bytes(caffemodel(layers, pool_first, old))
    assert_gives(tmp_path / "alexnet.caffemodel", network, torch, layers, 67, pool_first)


def test_a_file_of_one_tower(torch, tmp_path):
    layers = caffe_layers(groups=1)
    (tmp_path / "one.caffemodel").write_bytes(caffemodel(layers))
    assert_gives(tmp_path / "one.caffemodel", "caffe-alexnet", torch, layers, 67)
    assert load_network(str(tmp_path / "one.caffemodel"))[0].conv2.groups == 1


def test_fc8_under_another_name_or_twice(tmp_path):
    layers, path, told = caffe_layers(1 / 16), tmp_path / "mine.caffemodel", Said()
    named = {name.replace("fc8", "fc8_mine"): blobs for name, blobs in layers.items()}
    path.write_bytes(caffemodel(named, order=[*ORDER[:-2], "fc8_mine", "loss"]))
    np.testing.assert_array_equal(load(str(path), told)[0]["fc8.weight"], layers["fc8"][0])
    assert told.lines == [f"warning: {path}: its fc8_mine is taken as fc8"]
    path.write_bytes(caffemodel(layers, order=[*ORDER, "fc8"]))
    np.testing.assert_array_equal(load(str(path))[0]["fc8.weight"], layers["fc8"][0])
    path.write_bytes(caffemodel({**layers, **named}, order=[*ORDER, "fc8_mine"]))
    with pytest.raises(WeightsError, match="beside the layers of caffe-alexnet it holds fc8_mine"):
        load(str(path))
    other = (layers["fc8"][0] + 1, layers["fc8"][1])
    path.write_bytes(caffemodel(layers) + caffemodel({"fc8": other}, order=["fc8"]))
    with pytest.raises(WeightsError, match="two layers called fc8, whose numbers differ"):
        load(str(path))


def test_other_layers_are_named(tmp_path):
    layers = caffe_layers()
    (tmp_path / "style.caffemodel").write_bytes(caffemodel({**layers, "fc8": ()}))
    with pytest.raises(WeightsError, match="it holds no fc8.weight and lacks 1 more of the network "
                       "caffe-alexnet"):
        load(str(tmp_path / "style.caffemodel"))
    layers["fc7"] = (layers["fc7"][0][:, 1:], layers["fc7"][1])
    (tmp_path / "odd.caffemodel").write_bytes(caffemodel(layers))
    with pytest.raises(WeightsError,
                       match=r"its .* is \(.*\), which fits no network of the family"):
        load(str(tmp_path / "odd.caffemodel"))
