"""Local response normalisation (Krizhevsky et al. 2012, section 3.3)."""
from ..kernels import kernels_for
from ..tensor import Op, Tensor
from .checks import images, positive

REGIONS = {"across_channels": (1,), "within_channel": (2, 3)}   # Caffe's names: the axes to sum


class LocalResponseNorm(Op):
    """x / scale^beta; keeps x and the scale."""

    def __init__(self, size: int, alpha: float, beta: float, k: float, axes: tuple[int, ...]):
        self.size, self.alpha, self.beta, self.k, self.axes = size, alpha, beta, k, axes

    def forward(self, x):           # (N, C, H, W) -> the same
        self.x = x
        y, self.scale = kernels_for(x).local_response_norm(
            x, self.size, self.alpha, self.beta, self.k, self.axes)
        return y

    def backward(self, dy):
        return kernels_for(dy).local_response_norm_backward(
            dy, self.x, self.scale, self.size, self.alpha, self.beta, self.axes)


def local_response_norm(x: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75,
                        k: float = 1.0, norm_region: str = "across_channels") -> Tensor:
    """x / (k + alpha / n · Σ x²)^beta, the sum over the n neighbours of each element.

    x: (N, C, H, W), float32 or float64. The neighbours are size channels, or size x size pixels of
    one channel (norm_region "within_channel"). PyTorch, Caffe and the 2012 code divide alpha by n;
    AlexNet's constants are size 5, alpha 1e-4, beta 0.75, k 2. Raises ValueError for a size below
    1, a k of 0 or less, or an unknown norm_region.
    """
    images("local_response_norm", x)
    positive("local_response_norm", size=size)
    if not k > 0:
        raise ValueError(f"local_response_norm: k must be above 0, not {k}")
    if norm_region not in REGIONS:
        raise ValueError(f"local_response_norm: norm_region must be one of {tuple(REGIONS)}, "
                         f"not {norm_region!r}")
    op = LocalResponseNorm(int(size), float(alpha), float(beta), float(k), REGIONS[norm_region])
    return op(x)
