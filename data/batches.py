"""Which pictures a batch holds, and the making of it: the same in the parent and in every worker."""
import numpy as np

from .images import UnreadableImage


class BatchMaker:
    """Makes batch `number` of `epoch` from nothing but its arguments, so that it does not matter which process does it, or when."""

    def __init__(self, dataset, batch_size, transform, shuffle, seed, drop_last, on_error):
        self.dataset = dataset
        self.batch_size = batch_size
        self.transform = transform
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.on_error = on_error
        self._order = (None, None)      # the latest epoch and its order

    def __len__(self):
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def indices(self, epoch, number):
        """Which pictures are in the batch -> int64 (n,)"""
        order = self._order                     # of one epoch, even if another thread changes it meanwhile
        if order[0] != epoch:
            count = len(self.dataset)
            order = self._order = epoch, self._rng(epoch, 0).permutation(count) if self.shuffle else np.arange(count)
        return order[1][number * self.batch_size:(number + 1) * self.batch_size]

    def _rng(self, epoch, use):
        """`use` 0 is for the order, 1 + index for a picture."""
        return np.random.default_rng((self.seed, epoch, use))

    def make(self, epoch, number, allocate=np.empty, announce=lambda index: None):
        """-> images (n, H, W, 3) or (n, 10, H, W, 3) in memory from `allocate(shape, dtype)`, labels int64 (n,), skipped [(path, reason)]

        `announce(index)` is called before each picture. Raises UnreadableImage, if told to or if no picture of the batch can be read.
        """
        indices = self.indices(epoch, number)
        images, labels, skipped = None, [], []
        for index in indices.tolist():
            announce(index)
            try:
                picture, label = self.dataset[index]
            except UnreadableImage as error:
                skipped.append((error.path, error.reason))
                if self.on_error == "raise" or len(skipped) == len(indices):
                    raise
                continue
            pixels = self._pixels(picture, index, epoch)
            if images is None:
                images = allocate((len(indices), *pixels.shape), pixels.dtype)
            if pixels.shape != images.shape[1:]:
                raise ValueError(f"{self.dataset.name(index)} became {pixels.shape[-3]} x {pixels.shape[-2]} pixels, others of its batch "
                                 f"{images.shape[-3]} x {images.shape[-2]}: the transform needs a crop")
            images[len(labels)] = pixels
            labels.append(label)
        return images[:len(labels)], np.array(labels, np.int64), skipped

    def _pixels(self, picture, index, epoch):
        """The transformed picture -> (H, W, 3), or (10, H, W, 3) from ten crops"""
        try:
            pixels = self.transform(picture, self._rng(epoch, 1 + index))
        except ValueError as error:
            raise ValueError(f"{self.dataset.name(index)}: {error}") from error
        if pixels.ndim < 3 or pixels.shape[-3] != 3:
            raise ValueError(f"DataLoader: the transform must give (3, H, W), as Normalize does, not {pixels.shape}: {self.transform!r}")
        return np.moveaxis(pixels, -3, -1)
