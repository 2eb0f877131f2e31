"""`python -m minitensor.gradcheck` on the networks of the family: whole, and in miniature."""
import pytest

from minitensor import Op, gradcheck, nn
from minitensor.gradcheck import GradientError
from minitensor.gradcheck import __main__ as command
from minitensor.gradcheck.family import HEIRS, heir, resnet18
from minitensor.kernels import kernel_set, use_kernels


class SlightlyMore(Op):
    """x, with a gradient that is wrong by a twentieth of a percent."""

    def forward(self, x):
        return x

    def backward(self, dy):
        return 1.0005 * dy


def check(network):
    inputs, names = network.prepare("cpu")
    return gradcheck(network.forward, inputs, names=names, **network.options)


def kinds(network):
    return {type(module).__name__ for _, module in network.module.named_modules()}


def slow(*names):
    return [pytest.param(name, marks=[pytest.mark.slow] if name in names else [])
            for name in HEIRS]


@pytest.mark.parametrize("name", slow("inception", "googlenet", "resnet-bottleneck"))
def test_each_family_in_miniature_passes_and_keeps_its_running_statistics(name):
    network = heir(name)
    with use_kernels("cpu"):
        assert check(network) < 1e-5
    norms = [m for _, m in network.module.named_modules() if isinstance(m, nn.BatchNorm2d)]
    assert bool(norms) == (name not in ("vgg", "caffe-googlenet"))
    for norm in norms:
        assert not norm.running_mean.data.any() and (norm.running_var.data == 1).all()
    assert ("Residual" in kinds(network)) == name.startswith("resnet")
    assert ("AuxiliaryHead" in kinds(network)) == (name in ("googlenet", "caffe-googlenet",
                                                            "inception"))


def test_bottlenecks_are_among_the_miniatures():
    blocks = [m for _, m in heir("resnet-bottleneck").module.named_modules()
              if isinstance(m, nn.Residual)]
    assert {len(block) for block in blocks} == {6, 7}           # without and with a shortcut


@pytest.mark.parametrize("name, layer", [
    ("vgg", "pool2"), ("vgg-bn", "bn3_2"), ("googlenet", "inception3a.branch3.1.bn"),
    ("googlenet", "aux1.fc1"), ("caffe-googlenet", "pool1.norm1"),
    ("caffe-googlenet", "loss1.conv"),
    ("inception", "Mixed_7b.branch3x3.2.b.conv"), ("resnet-basic", "layer2.0.bn1"),
    ("resnet-bottleneck", "layer3.0.shortcut.1"), ("resnet-cifar", "layer2.0.shortcut.zeros"),
    ("plain-cifar", "layer3.0.bn2")])
def test_each_miniature_rejects_a_gradient_wrong_by_a_twentieth_of_a_percent(name, layer):
    network = heir(name)
    module = network.module.get_submodule(f"network.{layer}")
    right = module.forward
    module.forward = lambda x, **ending: SlightlyMore()(right(x, **ending))
    with pytest.raises(GradientError, match="gradcheck: "):
        check(network)


def test_a_batch_norm_whose_wrong_gradient_an_all_ones_one_would_miss_is_rejected(monkeypatch):
    """dx without what the statistics of the batch bring to it."""
    right = kernel_set("cpu").batch_norm_backward

    def wrong(dy, x, w, y, mean, variance, eps, of_batch, activation, needs):
        return right(dy, x, w, y, mean, variance, eps, False, activation, needs)

    monkeypatch.setattr(kernel_set("cpu"), "batch_norm_backward", wrong)
    with use_kernels("cpu"), pytest.raises(GradientError):
        check(heir("resnet-cifar"))


def test_resnet18_is_checked_whole():
    network = resnet18()
    assert network.module.num_parameters() == 11_689_512
    assert all(p.requires_grad for p in network.module.parameters())
    # Each weight of the last stage's filters sees pixels: that stage is 2 x 2.
    with nn.observe(network.module, "layer4.1") as seen:
        network.module(network.prepare("cpu")[0][0])
    assert seen.outputs["layer4.1"].shape == (2, 512, 2, 2)


@pytest.mark.slow
@pytest.mark.parametrize("name, count", [("alexnet", "62,378,344"), ("resnet18", "11,689,512")])
def test_the_full_networks_pass(name, count, capsys):
    assert command.main(["--op", name, "--kernels", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "0 failed" in printed and (name == "alexnet" or f"{count} parameters" in printed)


def test_quick_leaves_out_the_full_networks():
    everything = command._everything(command._options(["--quick"]))
    names = {name for name, _, _ in everything}
    assert names >= {"conv2d", "miniature", *HEIRS} and not names & {"alexnet", "resnet18"}


def test_the_command_checks_an_heir_in_one_row(capsys):
    assert command.main(["--op", "plain-cifar", "--kernels", "cpu"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if "plain-cifar" in line]
    assert len(rows) == 1 and "4,921 parameters" in rows[0] and rows[0].endswith("pass")


@pytest.mark.parametrize("name", ["alexnet", "resnet18", *HEIRS])
def test_the_command_says_where_the_networks_are(name, monkeypatch, capsys):
    monkeypatch.setitem(command.sys.modules, "models", None)
    assert command.main(["--op", name]) == 1                        # nothing was checked
    assert f"{name}: skipped, it needs the package `models`" in capsys.readouterr().out
