"""The tester tested: it rejects wrong gradients, passes right ones, and its exit status says so."""
import numpy as np
import pytest

import minitensor as mt
from minitensor import Op, Tensor, gradcheck
from minitensor.gradcheck import GradientError
from minitensor.gradcheck import __main__ as command
from minitensor.gradcheck.cases import op_cases
from minitensor.gradcheck.networks import miniature
from minitensor.kernels import KERNELS, kernel_set


def normal(*shape, seed=0):
    return Tensor(np.random.default_rng(seed).standard_normal(shape), requires_grad=True)


def with_backward(function, backward):
    """An op with the forward of function (on arrays) and the gradient backward(x, dy)."""
    class Made(Op):
        def forward(self, x):
            self.x = x
            return function(x)

        def backward(self, dy):
            return backward(self.x, dy)
    return lambda x: Made()(x)


def cube(factor):
    return with_backward(lambda x: x**3, lambda x, dy: factor * 3 * x**2 * dy)


slightly_more = with_backward(lambda x: x, lambda x, dy: 1.0005 * dy)


def softmax(x):
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


WRONG = {
    "zeros": with_backward(lambda x: x**3, lambda x, dy: np.zeros_like(x)),
    "1.001 times": cube(1.001),
    "1.0005 times": cube(1.0005),
    "0.9995 times": cube(0.9995),
    "negated": cube(-1),
    "NaN": cube(np.nan),
    "transposed": with_backward(lambda x: x**3, lambda x, dy: (3 * x**2 * dy).T.copy()),
    "forgetting dy": with_backward(lambda x: x**3, lambda x, dy: 3 * x**2),
    "a softmax that an all-ones dy would miss":
        with_backward(softmax, lambda x, dy: np.zeros_like(x)),
    "a softmax without its second term": with_backward(softmax, lambda x, dy: softmax(x) * dy),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("max_elements", [1000, 0], ids=["elements", "directions"])
def test_wrong_gradients_are_rejected(name, max_elements):
    with pytest.raises(GradientError):
        gradcheck(WRONG[name], [normal(6, 6)], max_elements=max_elements)


@pytest.mark.parametrize("max_elements", [1000, 0], ids=["elements", "directions"])
@pytest.mark.parametrize("right", [
    cube(1),
    with_backward(softmax,
                  lambda x, dy: softmax(x) * (dy - (dy * softmax(x)).sum(1, keepdims=True)))])
def test_right_gradients_pass(right, max_elements):
    assert gradcheck(right, [normal(6, 6)], max_elements=max_elements) < 1e-8


def test_one_wrong_element_is_found_and_named():
    def backward(x, dy):
        dx = 3 * x**2 * dy
        dx[3, 4] *= 1.01
        return dx

    x = normal(20, 30)
    message = (r"input 0 \(20, 30\), element \(3, 4\): backward says .*, "
               "finite difference .*relative error")
    with pytest.raises(GradientError, match=message):
        gradcheck(with_backward(lambda x: x**3, backward), [x])


def test_one_wrong_element_of_many_shows_along_a_direction():
    """Of 40,000 elements, each 1/200 of the slope: a missing one is an error of 0.5 %."""
    def backward(x, dy):
        dx = 3 * x**2 * dy
        dx[100, 100] = 0
        return dx

    with pytest.raises(GradientError, match="random direction"):
        gradcheck(with_backward(lambda x: x**3, backward), [normal(200, 200)])


def test_a_gradient_that_forgets_a_use_is_rejected():
    with pytest.raises(GradientError, match="input 1"):
        gradcheck(lambda a, b: a * b * b.detach(), [normal(3), normal(3, seed=1)])


def test_a_gradient_of_another_shape_is_rejected():
    with pytest.raises(RuntimeError, match=r"Made returned .* \(3, 3\) .* input 0, .* \(3, 1\)"):
        gradcheck(with_backward(lambda x: x * np.ones(3), lambda x, dy: dy), [normal(3, 1)])


@pytest.mark.parametrize("factor", [1.0005, 0.9995, 0])
def test_retries_save_no_wrong_gradient(factor):
    with pytest.raises(GradientError):
        gradcheck(cube(factor), [normal(50, 50)], eps=1e-5, retries=3, tolerance=2e-5)


def test_a_retry_steps_inside_a_kink():
    x = Tensor(np.array([2e-6, -1.0, 1.0]), requires_grad=True)
    with pytest.raises(GradientError, match=r"element \(0,\)"):
        gradcheck(mt.relu, [x], eps=1e-5)
    assert gradcheck(mt.relu, [x], eps=1e-5, retries=1) < 1e-6


def test_inputs_without_a_gradient_are_left_alone():
    x, constant = normal(3), Tensor(np.ones(3))
    gradcheck(lambda a, b: a * b, [x, constant])
    assert constant.grad is None and x.grad is not None


def test_data_is_as_before():
    x = normal(3)
    array, before = x.data, x.data.copy()
    gradcheck(lambda x: x * x, [x])
    assert x.data is array and (array == before).all()


def test_names_and_reports():
    seen = []
    worst = gradcheck(lambda a, b: a * b, [normal(3), normal(3, seed=1)], names=["left", "right"],
                      report=lambda *args: seen.append(args))
    names, errors = zip(*seen)
    assert names == ("left", "right") and worst == max(errors)


@pytest.mark.parametrize("inputs, error, message", [
    (lambda: [Tensor([1.0], requires_grad=True)], TypeError,
     "input 0 must be float64, not float32"),
    (lambda: [normal(2) * 2], ValueError, "input 0 must be a leaf, not the result of Mul"),
    (lambda: [Tensor(np.ones(2))], RuntimeError, "does not require a gradient"),
])
def test_bad_input_is_refused(inputs, error, message):
    with pytest.raises(error, match=message):
        gradcheck(lambda x: x * 2, inputs())


# ---- the cases -----------------------------------------------------------------------------------

def used_kernels(monkeypatch, run):
    used = set()
    for name in KERNELS:
        def noted(*args, _name=name, _kernel=getattr(kernel_set("reference"), name), **options):
            used.add(_name)
            return _kernel(*args, **options)
        monkeypatch.setattr(kernel_set("reference"), name, noted)
    run()
    return used


def test_every_differentiable_kernel_is_checked(monkeypatch):
    def run():
        for case in op_cases():
            y = case.function(*(Tensor(a, requires_grad=True) for a in case.arrays))
            y.backward(np.ones(y.shape))
    with mt.use_kernels("reference"):
        assert used_kernels(monkeypatch, run) == set(KERNELS) - {"sgd", "adam"}


def test_every_public_op_and_every_op_of_tensor_has_a_case():
    from minitensor import ops
    named = {case.op for case in op_cases()}
    assert set(ops.__all__) <= named
    modules = ops.arithmetic, ops.elementwise, ops.reduction, ops.shape, ops.indexing
    of_tensor = {name.lower() for module in modules
                 for name in subclasses(module, Op)}
    assert {"add", "sum", "getitem"} <= of_tensor and of_tensor - {"op", "to"} <= named


def subclasses(module, base):
    return {name: cls for name, cls in vars(module).items()
            if isinstance(cls, type) and issubclass(cls, base)}


def test_the_miniature_has_every_layer_type():
    from minitensor import nn
    lists = {nn.Module, nn.ModuleDict, nn.ModuleList}       # no forward
    losses = {layer for name, layer in subclasses(nn, nn.Module).items() if name.endswith("Loss")}
    layers = set(subclasses(nn, nn.Module).values()) - lists - losses
    assert {type(m) for _, m in miniature().module.named_modules()} == layers


@pytest.mark.parametrize("case", list(op_cases()), ids=lambda case: f"{case.op} {case.name}")
def test_a_case_passes_on_every_kernel_set(case, kernels):
    gradcheck(case.function, [Tensor(a, requires_grad=True) for a in case.arrays])


def test_a_case_reaches_each_fast_convolution():
    from minitensor.kernels.cpu.conv import winograd_tiling
    from minitensor.kernels.cpu.im2col_conv import Windows
    reached = set()
    for case in op_cases():
        if case.name.endswith(("as in conv2", "as in conv3")):
            (N, C, *_), (F, _, *kernel) = case.arrays[0].shape, case.arrays[1].shape
            out = case.function(*map(Tensor, case.arrays)).shape[2:]
            windows = Windows(tuple(kernel), (1, 1), (1, 1))
            reached.add((kernel[0], bool(winograd_tiling(N, C, F, windows, 1, out))))
    assert reached == {(5, True), (3, True)}


def test_the_miniature_passes_on_every_kernel_set(kernels):
    network = miniature()
    inputs, names = network.prepare("cpu")
    gradcheck(network.forward, inputs, names=names, **network.options)


@pytest.mark.parametrize("case", list(op_cases()), ids=lambda case: f"{case.op} {case.name}")
def test_a_case_rejects_a_gradient_wrong_by_a_twentieth_of_a_percent(case):
    """Each case can fail: it notices gradients of its inputs that are 1.0005 times too large."""
    inputs = [Tensor(a, requires_grad=True) for a in case.arrays]
    with pytest.raises(GradientError):
        gradcheck(lambda *tensors: case.function(*map(slightly_more, tensors)), inputs,
                  max_elements=0, directions=3)


@pytest.mark.parametrize("layer", ["conv1", "norm1", "pool2", "fc6", "softmax"])
def test_the_miniature_rejects_it_in_any_layer(layer):
    network = miniature()
    inputs, names = network.prepare("cpu")
    right = getattr(network.module, layer).forward
    getattr(network.module, layer).forward = lambda x: slightly_more(right(x))
    with pytest.raises(GradientError, match="gradcheck: input"):
        gradcheck(network.forward, inputs, names=names, **network.options)


# ---- the command ---------------------------------------------------------------------------------

def test_the_command_prints_a_table_and_succeeds(capsys):
    assert command.main(["--op", "avg_pool2d"]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].split() == ["op", "case", "kernels", "worst", "error"]
    assert {"reference", "cpu", "pass"} <= set(printed.split()) and "0 failed" in printed


def test_the_command_checks_the_miniature_on_one_kernel_set(capsys):
    assert command.main(["--op", "miniature", "--kernels", "cpu"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("miniature")]
    assert len(rows) == 25 and all(" cpu " in row and row.endswith("pass") for row in rows)
    assert "conv1.weight" in rows[1]


def test_the_command_checks_kernels_of_your_own(tmp_path, capsys):
    path = tmp_path / "my_kernels.py"
    for factor, status in ("1", 0), ("1.001", 1):
        path.write_text(f"import math\n\ndef tanh_backward(dy, y):\n    k = {factor}\n"
                        "    return k * dy * (1 - y * y)\n")
        assert command.main(["--op", "tanh", "--kernels", str(path)]) == status
        assert " my_kernels.py " in capsys.readouterr().out
    path.write_text("def tanh(\n")
    with pytest.raises(SystemExit):
        command.main(["--kernels", str(path)])
    assert "my_kernels.py, line 1: SyntaxError" in capsys.readouterr().err


def test_the_command_fails_for_a_wrong_gradient(monkeypatch, capsys):
    reference = kernel_set("reference")
    right = reference.tanh_backward
    monkeypatch.setattr(reference, "tanh_backward", lambda dy, y: 1.0005 * right(dy, y))
    assert command.main(["--op", "tanh", "--kernels", "reference"]) == 1
    printed = capsys.readouterr().out
    assert "FAIL" in printed and "backward says" in printed and "1 failed" in printed


def test_the_command_fails_for_a_kernel_that_raises_and_goes_on(monkeypatch, capsys):
    def broken(*_):
        raise FloatingPointError("out of order")
    monkeypatch.setattr(kernel_set("cpu"), "softmax", broken)
    assert command.main(["--op", "softmax"]) == 1
    printed = capsys.readouterr().out
    assert "FloatingPointError: out of order" in printed and "2 passed, 2 failed" in printed


def test_without_a_gpu_the_command_says_in_one_sentence_what_is_missing(monkeypatch, capsys):
    problem = "device 'cuda' needs CuPy; install it with: pip install cupy"
    monkeypatch.setattr(command, "gpu_problem", lambda: problem)
    with pytest.raises(SystemExit) as exit_:
        command.main(["--device", "cuda"])
    assert exit_.value.code == 2
    assert capsys.readouterr().err == f"python -m minitensor.gradcheck: {problem}\n"


@pytest.mark.parametrize("arguments, message", [
    (["--op", "conv3d"], "conv3d"), (["--kernels", "fast"], "'reference' and 'cpu', not 'fast'"),
    (["--device", "tpu"], "tpu")])
def test_unknown_options_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit) as exit_:
        command.main(arguments)
    assert exit_.value.code == 2 and message in capsys.readouterr().err
