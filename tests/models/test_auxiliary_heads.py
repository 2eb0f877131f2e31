"""Auxiliary heads: only training hears them, and they may be taken or left."""
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from minitensor import Generator, Tensor, checkpoint
from models.networks.build import build
from models.networks.heads import auxiliary_logits
from models.networks.tables import walk
from models.networks.transfer import freeze, split, take_over
from models_cli import assert_resumes_to_the_same_bits, complaint, models


# ---- weights that are taken over -----------------------------------------------------------------

@pytest.mark.parametrize("theirs, ours", [((), ("no-heads",)), (("no-heads",), ())],
                         ids=["heads dropped", "heads new"])
def test_heads_are_optional_where_weights_are_taken_over(theirs, ours):
    begun = build("googlenet", 5, 64, 1 / 8, ablations=theirs, generator=Generator(0))
    network = build("googlenet", 3, 64, 1 / 8, ablations=ours, generator=Generator(1))
    before = {name: array.copy() for name, array in network.state_dict().items()}
    take_over(network, begun.state_dict())
    for name, array in network.state_dict().items():
        is_new = name.startswith(("fc.", "aux"))
        np.testing.assert_array_equal(array, before[name] if is_new else begun.state_dict()[name])


def test_the_heads_last_layers_are_new_in_fine_tuning():
    begun = build("googlenet", 5, 64, 1 / 8, generator=Generator(0))
    network = build("googlenet", 3, 64, 1 / 8, generator=Generator(1))
    take_over(network, begun.state_dict())
    assert network.aux1.fc2.weight.shape == (3, 128)
    np.testing.assert_array_equal(network.aux1.fc1.weight.data, begun.aux1.fc1.weight.data)


@pytest.mark.parametrize("change", ["only the last layer replaced", "one head missing"])
def test_heads_of_other_classes_or_not_whole_are_left_out_and_said(change, tmp_path, capsys):
    network = build("googlenet", 5, 64, 1 / 8, generator=Generator(0))
    state = {name: np.asarray(array, order="C") for name, array in network.state_dict().items()}
    if change == "one head missing":
        state = {name: array for name, array in state.items() if not name.startswith("aux2.")}
    else:
        state |= {"fc.weight": state["fc.weight"][:3], "fc.bias": state["fc.bias"][:3]}
    save_file(state, tmp_path / "theirs.safetensors")
    assert models("summary", tmp_path / "theirs.safetensors") == 0
    printed = capsys.readouterr()
    assert "aux1" not in printed.out and "auxiliary heads aux1, aux2 are left out" in printed.err


# ---- freezing ------------------------------------------------------------------------------------

def test_frozen_layers_freeze_the_heads_on_the_way():
    network = build("googlenet", 5, 64, 1 / 8, generator=Generator(0))
    freeze(network, "features")
    assert {name for name, p in network.named_parameters() if p.requires_grad} == {
        "fc.weight", "fc.bias"}
    assert [name for name, _ in split(network)[1].named_children()] == ["dropout", "fc"]
    count = len([name for name in table_layers(network) if name < "inception4b"])
    network = build("googlenet", 5, 64, 1 / 8, generator=Generator(0))
    freeze(network, str(count))
    learning = {name.partition(".")[0] for name, p in network.named_parameters() if p.requires_grad}
    assert learning == {"inception4b", "inception4c", "inception4d", "inception4e", "inception5a",
                        "inception5b", "aux2", "fc"}
    x = Tensor(np.zeros((2, *network.input_shape), np.float32))
    with auxiliary_logits() as heads:
        network(x)
    assert len(heads) == 1, "aux1, before which nothing learns, is not computed"


def table_layers(network):
    """The names of the layers with parameters outside the heads."""
    return [place.name for place in walk(network.table, network.input_shape)
            if place.layer.parameters(place.input) and not place.name.startswith("aux")]


# ---- commands ----------------------------------------------------------------------------------

def train(out, *more):
    return models("train", "--network", "googlenet", "--image-size", 33, "--width", "1/16",
                  "--data", "builtin", "--pictures", 30, "--workers", 0, "--batch-size", 10,
                  "--epochs", 2, "--warmup", 0, "--out", out, *more)


@pytest.mark.slow
def test_a_stopped_and_resumed_run_with_heads_has_the_same_bits(tmp_path, monkeypatch):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert train(whole) == 0
    ours = assert_resumes_to_the_same_bits(train, whole, stopped, 4, monkeypatch)
    assert ours["optimizer.velocity.aux1.fc2.weight"].any()
    assert ours["aux2.conv.bn.num_batches_tracked"] == 6


@pytest.mark.slow
def test_a_run_with_heads_is_evaluated_converted_and_fine_tuned_without(tmp_path, capsys):
    run, tuned = tmp_path / "run", tmp_path / "tuned"
    assert train(run, "--epochs", 1) == 0
    assert models("evaluate", run, "--workers", 0) == 0
    assert models("convert", run, tmp_path / "copy.safetensors") == 0
    assert "aux1.fc2.weight" in load_file(tmp_path / "copy.safetensors")
    assert models("features", run, run / "samples", "--layer", "avgpool", "--out",
                  tmp_path / "features.npy") == 0
    assert np.load(tmp_path / "features.npy").shape[1:] == (64, 1, 1)
    capsys.readouterr()
    assert models("features", run, run / "samples", "--layer", "aux1", "--out",
                  tmp_path / "none.npy") == 2
    said = complaint(capsys)
    assert "--layer aux1: the network has no such layer" in said and "aux2" not in said
    common = ("--weights", run, "--data", "builtin", "--pictures", 20, "--workers", 0,
              "--batch-size", 10, "--epochs", 1)
    assert models("train", *common, "--ablations", "no-heads", "--out", tuned) == 0
    assert not [name for name in checkpoint.load(tuned / "latest.safetensors")[0]
                if name.startswith("aux")]
    again = tmp_path / "again"
    assert models("train", *common[:1], tuned, *common[2:], "--ablations", "--out", again) == 0
    assert "aux1.fc2.weight" in checkpoint.load(again / "latest.safetensors")[0]
    capsys.readouterr()
    assert models("train", *common, "--ablations", "tanh", "--out", tmp_path / "no") == 2
    assert "--ablations ['tanh'] does not fit --weights" in complaint(capsys)


def test_inception_takes_smaller_images_without_its_head():
    with pytest.raises(ValueError, match="image_size must be at least 299, not 96: some layer "
                       "would have no output; 75 without the auxiliary heads"):
        build("inception_v3", 5, 96, 1 / 32, generator=Generator(0))
    network = build("inception_v3", 5, 75, 1 / 32, ablations=["no-heads"], generator=Generator(0))
    assert network.eval()(Tensor(np.zeros((1, 3, 75, 75), np.float32))).shape == (1, 5)


def test_dropout_is_each_layers_own_unless_told():
    network = build("googlenet", 5, 64, 1 / 8, generator=Generator(0))
    assert (network.aux1.dropout.p, network.dropout.p) == (0.7, 0.2)
    network = build("googlenet", 5, 64, 1 / 8, dropout=0.1, generator=Generator(0))
    assert (network.aux1.dropout.p, network.dropout.p) == (0.1, 0.1)


def test_every_ablation_fits_googlenet():
    network = build("googlenet", 5, 64, 1 / 8, generator=Generator(0),
                    ablations=["tanh", "no-overlap", "no-lrn", "one-tower", "no-heads"])
    x = Tensor(np.zeros((1, *network.input_shape), np.float32))
    assert network.eval()(x).shape == (1, 5)
