"""Where and how a command computes: the device, the kernel set and the precision."""
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from minitensor import use_kernels
from minitensor.backend import check_device
from minitensor.kernels import SETS, kernel_set, use_precision

from .errors import UsageError, as_user_error


@contextmanager
def computing(device: str = "cpu", kernels: str | None = None,
              precision: str = "fp32") -> Iterator[None]:
    """Inside the with-block kernels are used with this precision.

    kernels: the name of a set, the path of a .py file with kernels of your own, None for the
    fastest set.

    Raises UserError at once for a device that is not there, UsageError for a set that the device
    lacks or a precision that the set lacks.
    """
    with as_user_error(RuntimeError):
        check_device(device)
    with as_user_error(ValueError, error=UsageError):
        chosen = kernel_set(kernels or SETS[device][-1])
    if device not in chosen.devices:
        raise UsageError(f"the kernel set {kernels!r} is not for device {device!r}, "
                         f"which has {' and '.join(SETS[device])}")
    if precision not in chosen.precisions:
        raise UsageError(f"--precision {precision} needs --device cuda and its own kernels; "
                         "others compute in fp32")
    with use_kernels(kernels) if kernels is not None else nullcontext(), use_precision(precision):
        yield
