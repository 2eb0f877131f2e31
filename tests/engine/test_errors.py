"""Bad input to the ops: one clear sentence that names the argument and its value."""
import re

import numpy as np
import pytest

import minitensor as mt
from minitensor import Generator, Tensor, use_kernels


def tensor(*shape, dtype=np.float32):
    return Tensor(np.zeros(shape, dtype))


x, w, logits = tensor(1, 3, 9, 9), tensor(4, 3, 3, 3), tensor(2, 5)

CASES = [
    # images and filters
    (lambda: mt.conv2d(tensor(1, 3, 227, 227), tensor(256, 96, 5, 5)), ValueError,
     "conv2d: x has 3 channels but w expects 96 (x (1, 3, 227, 227), w (256, 96, 5, 5))"),
    (lambda: mt.conv2d(tensor(3, 9, 9), w), ValueError,
     "conv2d: x must be (N, C, H, W) with C, H and W at least 1, not (3, 9, 9)"),
    (lambda: mt.conv2d(tensor(1, 3, 0, 9), w), ValueError, "not (1, 3, 0, 9)"),
    (lambda: mt.conv2d(x, tensor(4, 27)), ValueError,
     "conv2d: w must be (F, C / groups, KH, KW) with every size at least 1, not (4, 27)"),
    (lambda: mt.conv2d(x, w, tensor(3)), ValueError,
     "conv2d: b must be (4,) for w (4, 3, 3, 3), not (3,)"),
    (lambda: mt.conv2d(x, w, groups=3), ValueError,
     "conv2d: groups must divide the 4 filters of w (4, 3, 3, 3), not 3"),
    (lambda: mt.conv2d(x, w, groups=0), ValueError, "not 0"),
    (lambda: mt.conv2d(x, w, groups=2), ValueError,
     "conv2d: x has 3 channels but w expects 6 in 2 groups"),
    (lambda: mt.conv2d(x, w, groups=1.0), ValueError,
     "conv2d: groups must be an integer >= 1, not 1.0"),
    (lambda: mt.conv2d(x, w, stride=0), ValueError,
     "conv2d: stride must be an integer >= 1 or a pair of them, not 0"),
    (lambda: mt.conv2d(x, w, stride=1.5), ValueError, "not 1.5"),
    (lambda: mt.conv2d(x, w, stride="2"), ValueError, "not '2'"),
    (lambda: mt.conv2d(x, w, padding=(1, 2, 3)), ValueError,
     "conv2d: padding must be an integer >= 0 or a pair of them, not (1, 2, 3)"),
    (lambda: mt.conv2d(x, w, padding=-1), ValueError,
     "conv2d: padding must be an integer >= 0 or a pair of them, not -1"),
    (lambda: mt.conv2d(x, w, padding="full"), ValueError,
     "conv2d: padding must be an integer >= 0, a pair of them, 'same' or 'valid', not 'full'"),
    (lambda: mt.conv2d(x, w, stride=(2, 1), padding="same"), ValueError,
     "conv2d: padding 'same' needs stride 1, not (2, 1)"),
    (lambda: mt.nn.Conv2d(3, 4, 3, 2, "same", generator=Generator(0)), ValueError,
     "Conv2d: padding 'same' needs stride 1, not (2, 2)"),
    (lambda: mt.conv2d(x, w, dilation=0), ValueError,
     "conv2d: dilation must be an integer >= 1 or a pair of them, not 0"),
    (lambda: mt.conv2d(tensor(1, 3, 9, 4), w, dilation=2), ValueError,
     "conv2d: a window of width 5 does not fit x (1, 3, 9, 4), whose width with padding is 4"),
    (lambda: mt.im2col(x, 10), ValueError,
     "im2col: a window of height 10 does not fit x (1, 3, 9, 9), whose height with padding is 9"),
    (lambda: mt.col2im(tensor(2, 3), 4), ValueError,
     "col2im: columns must be (N, C, KH, KW, OH, OW), not (2, 3)"),
    (lambda: mt.col2im(tensor(1, 1, 2, 2, 3, 3), (4, 5)), ValueError,
     "col2im: columns (1, 1, 2, 2, 3, 3) are not those of an image (4, 5)"),
    # pooling
    (lambda: mt.max_pool2d(x, 2, padding=2), ValueError,
     "max_pool2d: padding (2, 2) must be at most half of kernel_size (2, 2)"),
    (lambda: mt.max_pool2d(x, 10), ValueError, "max_pool2d: a window of height 10 does not fit"),
    (lambda: mt.max_pool2d(x, 12, 3, ceil_mode=True), ValueError,
     "max_pool2d: a window of height 12 does not fit"),
    (lambda: mt.avg_pool2d(x, (2, 0)), ValueError,
     "avg_pool2d: kernel_size must be an integer >= 1 or a pair of them, not (2, 0)"),
    (lambda: mt.adaptive_avg_pool2d(x, 0), ValueError, "adaptive_avg_pool2d: output_size must be"),
    (lambda: mt.adaptive_avg_pool2d(tensor(3, 9), 2), ValueError,
     "adaptive_avg_pool2d: x must be (N, C, H, W)"),
    # shapes that do not fit each other
    (lambda: mt.ones(2) + mt.ones(3), ValueError, "Add: shapes (2,) and (3,) cannot be broadcast"),
    (lambda: mt.ones(2, 2)**np.ones((3, 2)), ValueError, "Power: shapes (2, 2) and (3, 2) cannot"),
    (lambda: mt.maximum(mt.ones(0), mt.ones(2)), ValueError, "Maximum: shapes (0,) and (2,) can"),
    (lambda: mt.ones(2) < mt.ones(3), ValueError, "lt: shapes (2,) and (3,) cannot be broadcast"),
    (lambda: (mt.ones(2) < 1) & (mt.ones(3) < 1), ValueError, "and: shapes (2,) and (3,) cannot"),
    (lambda: mt.where(mt.ones(2) < 1, mt.ones(3), 0), ValueError,
     "where: shapes (2,) and (3,) and () cannot be broadcast together"),
    # what is missing
    (lambda: mt.relu(None), TypeError, "relu: x must be a Tensor, not NoneType"),
    (lambda: mt.tanh(None), TypeError, "tanh: x must be a Tensor, not NoneType"),
    (lambda: mt.conv2d(None, None), TypeError, "conv2d: x must be a Tensor, not NoneType"),
    (lambda: mt.conv2d(x, None), TypeError, "conv2d: w must be a Tensor, not NoneType"),
    (lambda: mt.linear(x, None), TypeError, "linear: w must be a Tensor, not NoneType"),
    (lambda: mt.batch_norm(None, None, None), TypeError, "batch_norm: x must be a Tensor"),
    (lambda: mt.max_pool2d(None, 2), TypeError, "max_pool2d: x must be a Tensor, not NoneType"),
    (lambda: mt.softmax(None), TypeError, "softmax: x must be a Tensor, not NoneType"),
    (lambda: mt.cross_entropy(None, [0]), TypeError, "cross_entropy: input must be a Tensor"),
    (lambda: mt.dropout(x, "half"), ValueError, "dropout: p must be in [0, 1], not 'half'"),
    (lambda: mt.Tensor([1.0]) + 2**70, OverflowError, "Add: an integer of 71 bits does not fit"),
    (lambda: np.add(np.ones(2), mt.ones(2, requires_grad=True), out=np.ones(2)), TypeError,
     "numpy.add: a tensor that requires a gradient would lose it"),
    # normalisation, dropout, shapes
    (lambda: mt.local_response_norm(x, 0), ValueError,
     "local_response_norm: size must be an integer >= 1, not 0"),
    (lambda: mt.local_response_norm(x, 2.5), ValueError,
     "local_response_norm: size must be an integer >= 1, not 2.5"),
    (lambda: mt.local_response_norm(x, 5, k=0), ValueError,
     "local_response_norm: k must be above 0, not 0"),
    (lambda: mt.local_response_norm(x, 5, k=float("nan")), ValueError,
     "local_response_norm: k must be above 0, not nan"),
    (lambda: mt.local_response_norm(x, 5, norm_region="both"), ValueError,
     "norm_region must be one of"),
    (lambda: mt.dropout(x, 1.1, generator=Generator(0)), ValueError,
     "dropout: p must be in [0, 1], not 1.1"),
    (lambda: mt.dropout(x, -0.1, generator=Generator(0)), ValueError,
     "dropout: p must be in [0, 1], not -0.1"),
    (lambda: mt.flatten(x, 3, 1), ValueError,
     "flatten: start_dim 3 and end_dim 1 are not axes in order of x (1, 3, 9, 9)"),
    (lambda: mt.flatten(x, 0, 4), ValueError, "end_dim 4"),
    (lambda: mt.softmax(logits, 2), ValueError, "softmax: dim 2 is not an axis of x (2, 5)"),
    (lambda: mt.log_softmax(logits, -3), ValueError,
     "log_softmax: dim -3 is not an axis of x (2, 5)"),
    # linear
    (lambda: mt.linear(tensor(2, 5), tensor(3, 4)), ValueError,
     "linear: x must be (..., C) and w (F, C) with the same C (x (2, 5), w (3, 4))"),
    (lambda: mt.linear(tensor(2, 4), tensor(3, 4), tensor(4)), ValueError,
     "linear: b must be (3,) for w (3, 4), not (4,)"),
    # labels and losses
    (lambda: mt.cross_entropy(logits, [0, 5]), ValueError,
     "cross_entropy: target must be in [0, 5), but there is 5 at 1"),
    (lambda: mt.cross_entropy(logits, [-1, 0]), ValueError,
     "cross_entropy: target must be in [0, 5), but there is -1 at 0"),
    (lambda: mt.cross_entropy(logits, [0.0, 1.0]), TypeError,
     "cross_entropy: target must be integers (2,), or probabilities of input's shape (2, 5), "
     "not float64 (2,)"),
    (lambda: mt.cross_entropy(logits, [True, False]), TypeError,
     "cross_entropy: target must be integers, not bool"),
    (lambda: mt.cross_entropy(logits, [0, 1, 2]), ValueError,
     "cross_entropy: target of integers must be (2,) for input (2, 5), not (3,)"),
    (lambda: mt.cross_entropy(tensor(5), [2]), ValueError,
     "cross_entropy: target of integers must be () for input (5,), not (1,)"),
    (lambda: mt.cross_entropy(tensor(), 0), ValueError, "not ()"),
    (lambda: mt.cross_entropy(logits, [0, 1], "mean"), ValueError,
     "cross_entropy: weight must be 5 numbers, one a class, not <U4 ()"),
    (lambda: mt.cross_entropy(logits, [0, 1], [1, 2]), ValueError,
     "cross_entropy: weight must be 5 numbers, one a class, not int64 (2,)"),
    (lambda: mt.cross_entropy(logits, [0, 1], Tensor(np.ones(5), requires_grad=True)), TypeError,
     "cross_entropy: weight is a constant"),
    (lambda: mt.cross_entropy(logits, [0, 1], None, None), TypeError,
     "cross_entropy: ignore_index must be an integer, not None"),
    (lambda: mt.cross_entropy(logits, np.full((2, 5), 0.2), ignore_index=1), ValueError,
     "cross_entropy: ignore_index 1 is for integer targets, not for probabilities"),
    (lambda: mt.cross_entropy(logits, tensor(2, 5, dtype=np.float64)), TypeError,
     "cross_entropy: input is float32 but target is float64"),
    (lambda: mt.cross_entropy(tensor(0, 5), np.zeros(0, int)), ValueError,
     "with every size at least 1, not (0, 5)"),
    (lambda: mt.cross_entropy(logits, [0, 1], reduction="average"), ValueError,
     "cross_entropy: reduction must be one of"),
    (lambda: mt.cross_entropy(logits, [0, 1], label_smoothing=1.5), ValueError,
     "label_smoothing must be in [0, 1], not 1.5"),
    (lambda: mt.nll_loss(logits, [0, 9]), ValueError,
     "nll_loss: target must be in [0, 5), but there is 9 at 1"),
    (lambda: mt.nll_loss(tensor(2, 5, 5), [0, 1]), ValueError,
     "nll_loss: target of integers must be (2, 5) for input (2, 5, 5), not (2,)"),
    (lambda: mt.binary_cross_entropy_with_logits(logits, logits, pos_weight=[1, 2]), ValueError,
     "binary_cross_entropy_with_logits: pos_weight (2,) does not broadcast to input (2, 5)"),
    (lambda: mt.binary_cross_entropy_with_logits(logits, logits, tensor(3, 2, 5)), ValueError,
     "binary_cross_entropy_with_logits: weight (3, 2, 5) does not broadcast to input (2, 5)"),
    (lambda: mt.nn.CrossEntropyLoss(Tensor(np.ones(5), requires_grad=True)), TypeError,
     "CrossEntropyLoss: weight is a constant; detach"),
    (lambda: mt.mse_loss(logits, tensor(5)), ValueError,
     "mse_loss: input (2, 5) and target (5,) must have the same shape"),
    # types
    (lambda: mt.conv2d(x, tensor(4, 3, 3, 3, dtype=np.float64)), TypeError,
     "conv2d: x is float32 but w is float64"),
    (lambda: mt.linear(logits, tensor(3, 5), tensor(3, dtype=np.float64)), TypeError,
     "linear: x is float32 but b is float64"),
    (lambda: mt.mse_loss(logits, tensor(2, 5, dtype=np.float64)), TypeError,
     "mse_loss: input is float32 but target is float64"),
    (lambda: mt.relu(tensor(2, dtype=np.int64)), TypeError,
     "relu: x must be float32 or float64, not int64"),
    (lambda: mt.max_pool2d(tensor(1, 1, 4, 4, dtype=np.uint8), 2), TypeError,
     "max_pool2d: x must be float32 or float64, not uint8"),
    (lambda: mt.conv2d(np.zeros((1, 3, 9, 9)), w), TypeError,
     "conv2d: x must be a Tensor, not ndarray"),
    (lambda: mt.conv2d(x, np.zeros((4, 3, 3, 3))), TypeError,
     "conv2d: w must be a Tensor, not ndarray"),
    (lambda: mt.conv2d(tensor(1, 3, 9, 9, dtype=np.float16), w), TypeError,
     "conv2d: x must be float32 or float64, not float16"),
    # generators and kernels
    (lambda: Generator(-1), ValueError, "Generator: seed must be an integer in [0, 2^64), not -1"),
    (lambda: Generator(1.5), ValueError,
     "Generator: seed must be an integer in [0, 2^64), not 1.5"),
    (lambda: mt.cat([x, x], 5), ValueError, "cat: dim 5 is not an axis"),
    (lambda: Generator(0, 2**64), ValueError, "Generator: step must be an integer in [0, 2^64)"),
    (lambda: use_kernels("fast").__enter__(), ValueError,
     "use_kernels: there is no kernel set 'fast'; name one of"),
]


@pytest.mark.parametrize("call, error, message", CASES,
                         ids=[f"{i}-{message[:40]}" for i, (_, _, message) in enumerate(CASES)])
def test_bad_input_is_refused(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


@pytest.mark.parametrize("op", [
    lambda n: mt.max_pool2d(x, n), lambda n: mt.conv2d(x, w, stride=(n, n)),
    lambda n: mt.local_response_norm(x, n), lambda n: mt.adaptive_avg_pool2d(x, n),
    lambda n: mt.avg_pool2d(x, [3, n])])
def test_numpys_integers_count_as_integers(op):
    np.testing.assert_array_equal(op(np.int64(2)).data, op(2).data)


@pytest.mark.parametrize("op", [
    lambda v: mt.local_response_norm(x, 5, v(0.5), v(0.5), v(2)),
    lambda v: mt.dropout(x, v(0.5), generator=Generator(0)),
    lambda v: mt.cross_entropy(logits, [0, 1], label_smoothing=v(0.5))])
def test_numpys_float64_constants_do_not_change_the_dtype(kernels, op):
    assert op(np.float64).dtype == op(float).dtype == np.float32
