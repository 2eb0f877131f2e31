"""Runs a sample of PyTorch's OpInfo through the engine, and compares result and gradients."""
import inspect

import numpy as np
import torch

from comparing import assert_close
from minitensor import Tensor
from opinfo_table import LEFT_OUT_AT, LENIENT, OPS, outside
from suite import NotExpressed

DTYPES = {getattr(torch, name): np.dtype(name) for name in
          ("bool", "uint8", "int8", "int16", "int32", "int64", "float32", "float64")}

TOLERANCE = {"float64": 1e-10, "float32": 1e-4}     # float32: PyTorch's own sigmoid is off by 5e-5


def ours(value):
    """What the engine takes for what PyTorch takes."""
    if isinstance(value, torch.Tensor):
        if value.dtype not in DTYPES:
            raise NotExpressed("dtype", value.dtype)
        return Tensor(value.detach().numpy(), requires_grad=value.requires_grad)
    if isinstance(value, torch.dtype):
        if value not in DTYPES:
            raise NotExpressed("dtype", value)
        return DTYPES[value]
    if isinstance(value, complex):
        raise NotExpressed("dtype", "complex")
    if isinstance(value, torch.device):
        return value.type
    if isinstance(value, (list, tuple)):
        return type(value)(ours(v) for v in value)
    return value


def theirs(value):
    """What PyTorch is given: tensors as leaves of their own, laid out in memory as they were."""
    if isinstance(value, torch.Tensor):
        return value.detach().requires_grad_(value.requires_grad)
    if isinstance(value, (list, tuple)):
        return type(value)(theirs(v) for v in value)
    return value


def leaves(value):
    """The tensors in the arguments that want a gradient, in their order."""
    if isinstance(value, (torch.Tensor, Tensor)):
        return [value] if value.requires_grad else []
    if isinstance(value, (list, tuple)):
        return [leaf for v in value for leaf in leaves(v)]
    return []


def called(name, sample):
    """The engine's result for a sample, and the arguments it was given."""
    if reason := outside(name, sample):
        raise NotExpressed(*reason)
    arguments = ours([sample.input, *sample.args])
    keywords = {key: ours(value) for key, value in sample.kwargs.items()
                if key not in LEFT_OUT_AT or value not in LEFT_OUT_AT[key]}
    while arguments[-1] is None:
        arguments.pop()
    try:
        inspect.signature(OPS[name]).bind(*arguments, **keywords)
    except TypeError as error:
        raise NotExpressed("argument", f"{name}: {error}") from None
    with np.errstate(all="ignore"):
        return OPS[name](*arguments, **keywords), [*arguments, *keywords.values()]


def check(name, op, sample):
    """The same result and dtype; the same gradients along a random output gradient."""
    inputs = theirs([sample.input, *sample.args])
    keywords = {key: theirs(value) for key, value in sample.kwargs.items()}
    expected = op(*inputs, **keywords)
    y, arguments = called(name, sample)
    if name in ("max.reduction_with_dim", "min.reduction_with_dim"):
        assert_same(y.indices.numpy(), expected.indices.numpy(), "indices")
        y, expected = y.values, expected.values
    if not isinstance(expected, torch.Tensor):
        assert y == expected, f"{y}, not {expected}"
        return
    assert isinstance(y, Tensor), f"a {type(y).__name__}, not a Tensor"
    assert y.dtype == DTYPES[expected.dtype], f"dtype {y.dtype}, not {expected.dtype}"
    assert_same(y.numpy(), expected.detach().numpy(), "result")
    assert y.requires_grad == expected.requires_grad, f"requires_grad {y.requires_grad}"
    if y.requires_grad:
        check_gradients(y, leaves(arguments), expected, leaves([*inputs, *keywords.values()]))


def check_gradients(y, arguments, expected, inputs):
    dy = np.random.default_rng(0).standard_normal(y.shape).astype(y.dtype)
    try:
        gradients = torch.autograd.grad(expected, inputs, torch.tensor(dy), allow_unused=True)
    except RuntimeError as error:                       # remainder's, for one
        raise NotExpressed("argument", f"no gradient in PyTorch: {error}") from None
    with np.errstate(all="ignore"):
        y.backward(dy)
    for i, (argument, gradient) in enumerate(zip(arguments, gradients, strict=True)):
        assert (argument.grad is None) == (gradient is None), f"gradient {i} is {argument.grad}"
        if gradient is not None:
            assert argument.grad.dtype == argument.dtype
            assert_same(argument.grad, gradient.numpy(), f"gradient {i}")


def assert_same(actual, expected, name):
    if expected.dtype.kind == "f":
        assert_close(actual, expected, TOLERANCE[expected.dtype.name], name)
    else:
        np.testing.assert_array_equal(actual, expected, name, strict=True)


def check_error(name, op, error):
    """What PyTorch refuses the engine refuses, in a sentence and not with a slip of its own."""
    if name in LENIENT:
        raise NotExpressed("argument", LENIENT[name])
    sample = error.sample_input
    try:
        op(sample.input, *sample.args, **sample.kwargs)
    except Exception:
        pass
    else:
        raise NotExpressed("argument", "PyTorch takes it after all")
    try:
        y, _ = called(name, sample)
    except (ValueError, TypeError, RuntimeError, IndexError, OverflowError) as refusal:
        assert str(refusal), "an empty sentence"
    else:
        raise AssertionError(f"gave {y!r:.60}, where PyTorch raises {error.error_regex:.60}")
