"""Published weights of AlexNet's heirs: recognised in every container, with their own recipes."""
from collections import Counter

import numpy as np
import pytest
from PIL import Image

import weights_files as whole
from minitensor import Generator
from models.inputs.preprocessing import evaluation_transform
from models.networks.build import FAMILY, build
from models.networks.tables import walk
from models.training.checkpoints import load_network, metadata_of
from models.weights import WeightsError, load, recipes
from models.networks.published import PUBLISHED, Published
from models.weights.torchvision_names import torchvision_names
from models_cli import Said, complaint, models

IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
HALVES = ([0.5] * 3, [0.5] * 3)
# resize, crop, mean and std of torchvision's own metadata
RECIPES = {**{f"vgg{depth}{norm}": (256, 224, *IMAGENET) for depth in (11, 13, 16, 19)
              for norm in ("", "_bn")},
           **{f"resnet{depth}": (256, 224, *IMAGENET) for depth in (18, 34, 50, 101)},
           "googlenet": (256, 224, *HALVES), "inception_v3": (342, 299, *HALVES)}
HEIRS = [name for name in RECIPES if name in FAMILY]


def narrow_state(name, num_classes=10, width=1 / 16):
    """(the state of a narrow network, the same under torchvision's names)."""
    network = build(name, num_classes, width=width, generator=Generator(0))
    rng = np.random.default_rng(0)
    ours = {key: np.asarray(array, order="C") for key, array in network.state_dict().items()}
    for key, array in ours.items():
        if array.ndim == 1:
            ours[key] = rng.uniform(0.5, 1.5, array.shape).astype(np.float32)
        elif array.ndim == 0:
            ours[key] = np.array(7)
    names = torchvision_names(name)
    return ours, {names[key]: array for key, array in ours.items()}


def told(path):
    """(arrays, metadata, what the user was told) of a file."""
    said = Said()
    arrays, metadata = load(str(path), said)
    return arrays, metadata, [line.removeprefix(f"warning: {path}: ") for line in said.lines]


@pytest.mark.parametrize("name", HEIRS)
def test_every_heirs_file_is_recognised_with_its_own_recipe(name, tmp_path):
    ours, theirs = narrow_state(name)
    path = tmp_path / "weights.pth"
    path.write_bytes(whole.torch_zip(theirs))
    arrays, metadata, said = told(path)
    assert metadata["network"] == name and said == []
    assert arrays.keys() == ours.keys()
    assert all(np.array_equal(arrays[key], ours[key]) for key in ours), "buffers, too"
    p = metadata["preprocessing"]
    assert (p["resize"], p["crop"], p["mean"], p["std"]) == RECIPES[name]


@pytest.mark.parametrize("kind", ["f4", "f2", "f8", "u2"], ids=["f32", "f16", "f64", "bf16"])
@pytest.mark.parametrize("wrap", [{}, {"state_dict/": 1}, {"model/module.": 1}, {"module.": 1}],
                         ids=["plain", "state_dict", "model and module", "module"])
@pytest.mark.parametrize("name", ["vgg11_bn", "resnet18", "googlenet"])
def test_containers_kinds_of_numbers_and_wrappers(name, wrap, kind, tmp_path):
    ours, theirs = narrow_state(name, width=1 / 32)
    rounded = {key: array if array.dtype.kind == "i" else array.astype(np.float16).astype(
        np.float32) for key, array in theirs.items()}

    def stored(array):
        if array.dtype.kind == "i":
            return array
        bits = array.view(np.uint32)
        return (bits >> 16).astype(np.uint16) if kind == "u2" else array.astype(kind)

    prefix = next(iter(wrap), "")
    state = {prefix.rpartition("/")[2] + key: stored(array) for key, array in rounded.items()}
    writers = {".pth": lambda: whole.torch_zip(state), ".tar": lambda: whole.torch_legacy(state)}
    if kind != "u2":
        flat = {prefix.replace("/", ".") + key: array for key, array in state.items()}
        writers[".safetensors"] = lambda: whole.safetensors(flat)
    for suffix, write in writers.items():
        path = tmp_path / f"weights{suffix}"
        path.write_bytes(write())
        arrays, metadata, said = told(path)
        assert metadata["network"] == name and said == []
        names = torchvision_names(name)
        for key in ours:
            expected = rounded[names[key]]
            if kind == "u2" and expected.dtype.kind == "f":
                expected = (expected.view(np.uint32) >> 16 << 16).view(np.float32)
            assert arrays[key].dtype == expected.dtype and (arrays[key] == expected).all()


@pytest.mark.parametrize("counters", ["missing", "halves", "overflown"])
def test_batch_counters_may_be_missing_or_floating_point(counters, tmp_path):
    ours, theirs = narrow_state("resnet18")
    is_counter = {key: key.endswith("num_batches_tracked") for key in theirs}
    if counters == "missing":
        theirs = {key: array for key, array in theirs.items() if not is_counter[key]}
    else:
        number = np.inf if counters == "overflown" else 7
        theirs = {key: np.array(number, np.float16) if is_counter[key] else array
                  for key, array in theirs.items()}
    (tmp_path / "old.pth").write_bytes(whole.torch_zip(theirs))
    arrays, _, said = told(tmp_path / "old.pth")
    found = {int(arrays[key]) for key in ours if key.endswith("num_batches_tracked")}
    assert found == {7 if counters == "halves" else 0} and said == []


# ---- two weights of one network ------------------------------------------------------------------

@pytest.mark.parametrize("name, first, second", [
    ("resnet50", ["resnet50-0676ba61.pth", "resnet50-19c8e357.pth", "ResNet50_IMAGENET1K_V1.pth"],
     ["resnet50-11ad3fa6.pth", "my-11ad3fa6-copy.pth", "resnet50_IMAGENET1K_V2.pth"]),
    ("resnet101", ["resnet101-63fe2227.pth", "resnet101-5d3b4d8f.pth"],
     ["resnet101-cd907fc2.pth"])])
def test_a_files_name_tells_the_first_weights_from_the_second(name, first, second, tmp_path):
    content = whole.torch_zip(narrow_state(name, 1000, 1 / 32)[1])
    for files, resize in ((first, 256), (second, 232)):
        for file in files:
            (tmp_path / file).write_bytes(content)
            _, metadata, said = told(tmp_path / file)
            assert metadata["preprocessing"]["resize"] == resize and said == []


def test_a_renamed_file_is_told_by_its_sum_else_the_choice_is_said(tmp_path, monkeypatch):
    path = tmp_path / "renamed.pth"
    path.write_bytes(whole.torch_zip(narrow_state("resnet50", 1000, 1 / 32)[1]))
    _, metadata, said = told(path)
    assert metadata["preprocessing"]["resize"] == 256
    assert said == ["taken as the first weights of resnet50, whose pictures are resized to 256; "
                    "if it holds the second ones (232), put 11ad3fa6 into its name"]
    for version, resize in (("", 256), ("-v2", 232)):
        own = Published("", recipes.sha256(path), "resnet50")
        with monkeypatch.context() as here:
            here.setitem(PUBLISHED, f"torchvision:resnet50{version}", own)
            _, metadata, said = told(path)
        assert metadata["preprocessing"]["resize"] == resize and said == []
    path.write_bytes(whole.torch_zip(narrow_state("resnet50", 10, 1 / 32)[1]))
    assert told(path)[2] == [], "somebody's own, of other classes: nothing is known of it"


@pytest.mark.parametrize("name, file, resize", [
    ("vgg16", "", 256), ("resnet50", "0676ba61", 256), ("resnet50", "11ad3fa6", 232),
    ("googlenet", "", 256), ("inception_v3", "", 342)])
def test_pictures_are_scaled_and_cropped_as_by_pillow(name, file, resize):
    """Bilinear, the longer side cut to whole pixels, the crop's corner rounded, as torchvision."""
    crop = FAMILY[name].image_size
    p = recipes.preprocessing(name, {"num_classes": 1000, "image_size": crop}, False, file, [])
    p |= {"mean": [0.0] * 3, "std": [1.0] * 3}
    for width, height in ((401, 301), (401, 302), (300, 533), (533, 300), (120, 90)):
        pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        sides = [int(resize * side / min(width, height)) for side in (width, height)]
        scaled = Image.fromarray(pixels).resize(sides, Image.Resampling.BILINEAR)
        left, top = (int(round((side - crop) / 2)) for side in sides)
        expected = np.asarray(scaled.crop((left, top, left + crop, top + crop)))
        ours = evaluation_transform(p)(pixels, None)
        np.testing.assert_allclose(ours.transpose(1, 2, 0) * 255, expected, atol=1e-4)


def test_transform_input_is_another_mean_and_deviation():
    """torchvision normalises as for ImageNet, then again, channel by channel."""
    pixels = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    config = {"num_classes": 1000, "image_size": 224}
    ours = evaluation_transform(recipes.preprocessing("googlenet", config, False, "", []))
    x = pixels.transpose(2, 0, 1) / 255
    mean, std = (np.array(values)[:, None, None] for values in IMAGENET)
    x = (x - mean) / std
    x = np.stack([x[0] * (0.229 / 0.5) + (0.485 - 0.5) / 0.5,
                  x[1] * (0.224 / 0.5) + (0.456 - 0.5) / 0.5,
                  x[2] * (0.225 / 0.5) + (0.406 - 0.5) / 0.5])
    image = np.pad(pixels, ((16, 16), (16, 16), (0, 0)))        # of 256 pixels: nothing is scaled
    np.testing.assert_allclose(ours(image, None), x, atol=1e-6)


# ---- written for others --------------------------------------------------------------------------

@pytest.mark.parametrize("name", HEIRS)
def test_every_heir_is_written_under_torchvisions_names_and_read_back(name, tmp_path, capsys):
    from safetensors.numpy import load_file
    ours, theirs = narrow_state(name)
    (tmp_path / "in.pth").write_bytes(whole.torch_zip(theirs))
    assert models("convert", tmp_path / "in.pth", tmp_path / "out.safetensors",
                  "--torchvision") == 0
    assert capsys.readouterr().err == "", "it is torchvision's own network"
    written = load_file(tmp_path / "out.safetensors")
    assert written.keys() == theirs.keys()
    for key, array in written.items():
        assert array.dtype == (np.int64 if key.endswith("num_batches_tracked") else np.float32)
        np.testing.assert_array_equal(array, theirs[key])
    back, metadata = load_network(str(tmp_path / "out.safetensors"))
    assert (back.name, metadata["preprocessing"]["mean"]) == (name, RECIPES[name][2])


@pytest.mark.parametrize("name", ["resnet20", "plain20", "caffe-googlenet"])
def test_what_torchvision_does_not_have_is_refused_in_a_sentence(name, tmp_path, capsys):
    from minitensor import checkpoint
    network = build(name, 5, width=1 / 8, generator=Generator(0))
    p = {"resize": 256, "crop": 224, "mean": [0.5] * 3, "std": [0.25] * 3}
    checkpoint.save(tmp_path / "in.safetensors", network.state_dict(),
                    metadata_of(network, list("abcde"), p))
    assert models("convert", tmp_path / "in.safetensors", tmp_path / "out.safetensors",
                  "--torchvision") == 1
    assert complaint(capsys).endswith(
        f"torchvision has no network with the layers of {name}: no names there fit")


@pytest.mark.parametrize("name", [*HEIRS, "caffe-googlenet", "resnet20", "plain20", "caffenet"])
def test_onnx_states_the_shape_of_every_layer(name, tmp_path):
    """value_info against ONNX's own inference of shapes."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed")
    from models.weights.onnx import write_onnx
    network = build(name, 5, width=1 / 16, generator=Generator(0)).eval()
    write_onnx(tmp_path / "out.onnx", network, {
        "network": name, "config": network.config, "classes": [], "preprocessing": {}})
    model = onnx.load(tmp_path / "out.onnx")

    def shapes(infos):
        return {info.name: tuple(d.dim_param or d.dim_value
                                 for d in info.type.tensor_type.shape.dim) for info in infos}

    stated = shapes(model.graph.value_info)
    del model.graph.value_info[:]
    inferred = shapes(onnx.shape_inference.infer_shapes(model, strict_mode=True).graph.value_info)
    assert stated.items() <= inferred.items()
    layers = {place.name for place in walk(network.table, network.input_shape)}
    nodes = Counter(node.name for node in model.graph.node if node.name in layers)
    assert nodes.keys() <= stated.keys() and max(nodes.values()) == 1
    assert all(stated[place.name] == ("N", *place.output)
               for place in walk(network.table, network.input_shape) if place.name in nodes)


@pytest.mark.parametrize("name, key, shape, words", [
    ("resnet34", "layer2.1.bn1.running_var", None, "it holds no layer2.1.bn1.running_var"),
    ("resnet18", "layer1.0.conv1.weight", (4, 3, 3, 3), r"its layer1.0.conv1.weight is "
     r"\(4, 3, 3, 3\), .*; in resnet18 of width 0.0625 it is \(4, 4, 3, 3\)"),
    ("inception_v3", "fc.weight", (10, 99), r"its fc.weight is \(10, 99\), .*"
     r"in inception_v3 of width 0.0625 it is \(10, 128\)")])
def test_a_file_of_no_heir_says_what_differs(name, key, shape, words, tmp_path):
    _, theirs = narrow_state(name)
    if shape:
        theirs[key] = np.zeros(shape, np.float32)
    else:
        del theirs[key]
    path = tmp_path / "odd.pth"
    path.write_bytes(whole.torch_zip(theirs))
    with pytest.raises(WeightsError, match=words):
        load(str(path))
