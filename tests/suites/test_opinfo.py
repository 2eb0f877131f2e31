"""PyTorch's OpInfo, its own samples of every op: results, dtypes, gradients and refusals."""
import warnings

import pytest

from opinfo_table import FLOATS_ONLY, OPS
from suite import Tally

# PyTorch's own warnings; one in the engine is a failure as everywhere.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch")
OF_KERNELS = {"matmul", "sigmoid", "tanh", "softmax", "log_softmax", *FLOATS_ONLY}
WITHOUT_GRADIENTS = {"clamp", "where"}      # PyTorch cannot make their reference inputs with them


@pytest.fixture(scope="module")
def ops():
    pytest.importorskip("torch", reason="PyTorch, the oracle of this test, is not installed")
    pytest.importorskip("expecttest", reason="the package expecttest, which PyTorch's samples need")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db
    return {".".join(filter(None, (op.name, op.variant_test_name))): op for op in op_db}


def samples(op, name, inputs):
    """(label, sample) of every dtype that the engine and the op have."""
    import torch
    dtypes = [torch.float64, torch.float32]
    dtypes += [] if name in FLOATS_ONLY else [torch.int64, torch.uint8, torch.bool]
    for dtype in filter(op.dtypes.__contains__, dtypes):
        gradients = dtype.is_floating_point and op.supports_autograd
        if inputs == "reference_inputs" and name in WITHOUT_GRADIENTS:
            gradients = False
        for i, sample in enumerate(getattr(op, inputs)("cpu", dtype, requires_grad=gradients)):
            yield f"{name} {dtype} {i}", sample


def run(ops, name, inputs):
    from opinfo_adapter import check
    tally = Tally()
    for label, sample in samples(ops[name], name, inputs):
        tally.case(label, lambda: check(name, ops[name], sample))
    return tally


@pytest.mark.parametrize("kernels", ("reference", "cpu"), indirect=True)
@pytest.mark.parametrize("name", OPS)
def test_samples(ops, name, kernels, record_property):
    run(ops, name, "sample_inputs").done(f"PyTorch's OpInfo samples on {kernels}", record_property)


@pytest.mark.slow
@pytest.mark.parametrize("kernels", ("reference", "cpu"), indirect=True)
@pytest.mark.parametrize("name", OPS)
def test_reference_inputs(ops, name, kernels, record_property):
    if kernels == "reference" and name not in OF_KERNELS:
        pytest.skip("the same code as on the other set")
    tally = run(ops, name, "reference_inputs")
    tally.done(f"PyTorch's OpInfo reference inputs on {kernels}", record_property)


@pytest.mark.parametrize("name", OPS)
def test_what_pytorch_refuses_is_refused(ops, name, record_property):
    from opinfo_adapter import check_error
    tally, op = Tally(), ops[name]
    for i, error in enumerate(op.error_inputs("cpu") if op.error_inputs_func else ()):
        tally.case(f"{name} {i}", lambda: check_error(name, op, error))
    tally.done("PyTorch's OpInfo errors", record_property)
