"""PyTorch's ops under the engine's names: OpInfo's name -> a function with PyTorch's arguments."""
import minitensor as mt
from minitensor import Tensor

OPS = {
    # Tensor's operators and methods
    "__getitem__": lambda x, index: x[index], "__radd__": lambda x, other: other + x,
    "__rand__": lambda x, other: other & x, "__rdiv__": lambda x, other: other / x,
    "__rmatmul__": lambda x, other: other @ x, "__rmod__": lambda x, other: other % x,
    "__rmul__": lambda x, other: other * x, "__ror__": lambda x, other: other | x,
    "__rpow__": lambda x, other: other ** x, "__rsub__": lambda x, other: other - x,
    "__rxor__": lambda x, other: other ^ x,
    "add": lambda x, other: x + other, "sub": lambda x, other: x - other,
    "rsub": lambda x, other: other - x, "mul": lambda x, other: x * other,
    "true_divide": lambda x, other: x / other, "div.no_rounding_mode": lambda x, other: x / other,
    "floor_divide": lambda x, other: x // other, "remainder": lambda x, other: x % other,
    "pow": lambda x, exponent: x ** exponent, "neg": lambda x: -x,
    "square": lambda x: x ** 2, "matmul": lambda x, other: x @ other,
    "mm": lambda x, other: x @ other, "bmm": lambda x, other: x @ other,
    "mv": lambda x, other: x @ other, "bitwise_and": lambda x, other: x & other,
    "bitwise_or": lambda x, other: x | other, "bitwise_xor": lambda x, other: x ^ other,
    "bitwise_not": lambda x: ~x,
    "eq": lambda x, other: x == other, "ne": lambda x, other: x != other,
    "lt": lambda x, other: x < other, "le": lambda x, other: x <= other,
    "gt": lambda x, other: x > other, "ge": lambda x, other: x >= other,
    "abs": Tensor.abs, "reciprocal": Tensor.reciprocal, "clone": Tensor.clone,
    "sum": Tensor.sum, "mean": Tensor.mean, "amax": Tensor.amax, "amin": Tensor.amin,
    "max.reduction_no_dim": Tensor.max, "min.reduction_no_dim": Tensor.min,
    "max.reduction_with_dim": Tensor.max, "min.reduction_with_dim": Tensor.min,
    "argmax": Tensor.argmax, "argmin": Tensor.argmin, "any": Tensor.any, "all": Tensor.all,
    "std": Tensor.std, "std.unbiased": Tensor.std, "var": Tensor.var, "var.unbiased": Tensor.var,
    "T": lambda x: x.T, "reshape": Tensor.reshape, "view": Tensor.view, "permute": Tensor.permute,
    "transpose": Tensor.transpose, "squeeze": Tensor.squeeze, "squeeze.multiple": Tensor.squeeze,
    "unsqueeze": Tensor.unsqueeze, "expand": Tensor.expand, "item": Tensor.item,
    "bool": Tensor.bool, "int": Tensor.int, "long": Tensor.long, "float": Tensor.float,
    "double": Tensor.double,
    # functions
    "arange": mt.arange, "cat": mt.cat, "clamp": mt.clamp, "exp": mt.exp, "flatten": mt.flatten,
    "full": mt.full, "log": mt.log, "log_softmax": mt.log_softmax, "max.binary": mt.maximum,
    "maximum": mt.maximum, "min.binary": mt.minimum, "minimum": mt.minimum, "ones": mt.ones,
    "ones_like": mt.ones_like, "sigmoid": mt.sigmoid, "softmax": mt.softmax, "sqrt": mt.sqrt,
    "stack": mt.stack, "tanh": mt.tanh, "where": Tensor.where, "zeros": mt.zeros,
    "zeros_like": mt.zeros_like,
    # torch.nn.functional
    **{f"nn.functional.{name}": getattr(mt, name) for name in (
        "adaptive_avg_pool2d", "avg_pool2d", "binary_cross_entropy_with_logits", "conv2d",
        "cross_entropy", "dropout", "linear", "local_response_norm", "max_pool2d", "mse_loss",
        "nll_loss", "relu")},
}
FACTORIES = ("arange", "cat", "full", "ones", "stack", "zeros")         # do not begin with a tensor

# Arguments that the engine does not have, left out where they say what it does anyway.
LEFT_OUT_AT = {"alpha": (1,), "device": ("cpu",), "dilation": (1, (1, 1)), "inplace": (False,),
               "requires_grad": (False,), "return_indices": (False,)}
# Calls that the engine answers and PyTorch refuses.
LENIENT = {"mean": "integers have a mean", "maximum": "a number as an operand",
           "minimum": "a number as an operand", "max.binary": "a number as an operand",
           "min.binary": "a number as an operand"}
FLOATS_ONLY = {name for name in OPS if name.startswith("nn.functional.")}
OF_IMAGES = {f"nn.functional.{name}" for name in ("conv2d", "max_pool2d", "avg_pool2d",
                                                  "adaptive_avg_pool2d", "local_response_norm")}


def outside(name, sample):
    """Why the engine has no words for a sample, (kind, what), or None."""
    x, arguments = sample.input, (*sample.args, *sample.kwargs.values())
    if name not in FACTORIES and not hasattr(x, "ndim"):
        return "argument", f"{name}: a number for the first tensor"
    if name in OF_IMAGES and x.ndim != 4:
        return "shape", "images without a batch, or of one or three axes"
    if name == "nn.functional.adaptive_avg_pool2d" and None in _flat(arguments):
        return "argument", f"{name}: an output size of None"
    if name == "nn.functional.avg_pool2d" and any(isinstance(a, (list, tuple)) and len(a) < 2
                                                  for a in arguments):
        return "argument", f"{name}: a list of less than two sizes"
    if name == "nn.functional.dropout" and 0 < (*arguments, 0.5)[0] < 1:
        return "argument", f"{name}: random numbers of another generator"
    if name == "arange" and "torch.uint8" in map(str, arguments):
        return "dtype", "arange of uint8, which wraps its bounds"
    if name == "clamp" and any(hasattr(bound, "ndim") for bound in arguments):
        return "argument", "clamp: a tensor as bound"
    if name in ("any", "all") and str(x.dtype) == "torch.uint8":
        return "dtype", "any and all of uint8, which are uint8"
    if name in ("pow", "__rpow__") and "int" in str(x.dtype) and _negative(
            x if name == "__rpow__" else arguments[0]):
        return "argument", "whole numbers to a negative power"
    return None


def _negative(exponent):
    return bool((exponent < 0).any()) if hasattr(exponent, "any") else exponent < 0


def _flat(values):
    for value in values:
        yield from _flat(value) if isinstance(value, (list, tuple)) else [value]
