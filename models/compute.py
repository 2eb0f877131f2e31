"""Where and how a command computes: the device, the kernel set and the precision."""
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from minitensor import use_kernels
from minitensor.backend import check_device
from minitensor.kernels import SETS, kernel_set, use_precision

from .errors import SettingError, as_user_error


@contextmanager
def computing(device: str = "cpu", kernels: str | None = None,
              precision: str = "fp32") -> Iterator[None]:
    """Inside the with-block kernels are used with this precision.

    kernels: the name of a set, the path of a .py file with kernels of your own, None for the
    fastest set.

    Raises UserError at once for a device that is not there, SettingError for a set that is not
    there or that the device lacks, or a precision that the set lacks.
    """
    with as_user_error(RuntimeError):
        check_device(device)
    try:
        chosen = kernel_set(kernels or SETS[device][-1])
    except ValueError as error:
        raise SettingError("kernels", f": {str(error).removeprefix('use_kernels: ')}") from error
    if device not in chosen.devices:
        raise SettingError("kernels", f": the kernel set {kernels!r} is not for device {device!r}, "
                           f"which has {' and '.join(SETS[device])}")
    if precision not in chosen.precisions:
        raise SettingError("precision", f" {precision} needs the device cuda and its own kernels; "
                           "others compute in fp32")
    with use_kernels(chosen) if kernels is not None else nullcontext(), use_precision(precision):
        yield
