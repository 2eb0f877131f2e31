"""Where a command computes: the device and the kernel set that were asked for."""
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from minitensor import use_kernels
from minitensor.backend import check_device
from minitensor.kernels import SETS

from .errors import UsageError, told


@contextmanager
def machine(device: str, kernels: str | None) -> Iterator[None]:
    """Inside the with-block kernels are used (None: the fastest). Raises UserError at once for a device or a set that is not there."""
    with told(RuntimeError):
        check_device(device)
    if kernels not in (None, *SETS[device]):
        raise UsageError(f"no kernel set {kernels!r} for device {device!r}, which has {' and '.join(SETS[device])}")
    with use_kernels(kernels) if kernels is not None else nullcontext():
        yield
