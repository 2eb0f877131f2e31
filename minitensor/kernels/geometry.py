"""Every size formula, once: for the ops, all kernel sets, the network tables and the ONNX export.

Along one side of an image (its height or its width) the sizes are called

    image      pixels of the image                stride     pixels from one window to the next
    kernel     cells of a window                  dilation   pixels from one cell to the next
    padding    pixels added at either end         out        windows: pixels of the output
"""
Pair = tuple[int, int]      # (vertical, horizontal)


def output_size(image: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1,
                ceil_mode: bool = False) -> int:
    """How many windows fit along one side; 0 where not one does.

    floor((image + 2·padding - dilation·(kernel - 1) - 1) / stride) + 1. With ceil_mode it is
    rounded up: a last window may hang over the end, if it starts on the image or on the padding
    before it (PyTorch's rule).
    """
    room = image + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return max(0, room // stride + 1)
    size = -(-room // stride) + 1
    starts_behind = (size - 1) * stride >= image + padding
    return max(0, size - starts_behind)


def output_sizes(image_size: Pair, kernel_size: Pair, stride: Pair = (1, 1), padding: Pair = (0, 0),
                 dilation: Pair = (1, 1), ceil_mode: bool = False) -> Pair:
    """(OH, OW): `output_size` of both sides."""
    OH, OW = (output_size(*side, ceil_mode=ceil_mode)
              for side in zip(image_size, kernel_size, stride, padding, dilation))
    return OH, OW


def reach(out: int, kernel: int, stride: int, dilation: int = 1) -> int:
    """Pixels from the first cell of the first window to the last cell of the last one."""
    return (out - 1) * stride + dilation * (kernel - 1) + 1


def reaches(out: Pair, kernel_size: Pair, stride: Pair, dilation: Pair = (1, 1)) -> Pair:
    """(vertical, horizontal): `reach` along both sides."""
    height, width = (reach(*side) for side in zip(out, kernel_size, stride, dilation))
    return height, width


def counted_cells(image: int, kernel: int, stride: int, padding: int, out: int,
                  count_include_pad: bool) -> list[int]:
    """Of each window along one side, how many cells an average counts.

    Those on the image, and on the padding if count_include_pad; never those that only ceil_mode
    adds behind it. A window's divisor is the product of its two sides'.
    """
    low, high = (-padding, image + padding) if count_include_pad else (0, image)
    starts = [i * stride - padding for i in range(out)]
    return [min(start + kernel, high) - max(start, low) for start in starts]


def adaptive_bounds(image: int, out: int) -> list[slice]:
    """Window i covers floor(i·image/out) up to ceil((i+1)·image/out): PyTorch's rule for adaptive
    pooling. Neighbours may overlap by one pixel."""
    return [slice(i * image // out, -(-(i + 1) * image // out)) for i in range(out)]
