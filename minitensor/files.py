"""Files are written whole or not at all."""
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: str | os.PathLike) -> Iterator[Path]:
    """Yields a temporary path beside path, for the with-block to write to.

    At its end that file replaces path; if the block raises, the file is removed and path stays.
    """
    path = Path(path)
    partial = path.with_name(f".{path.stem}.{os.urandom(4).hex()}{path.suffix}")
    partial.touch(exist_ok=False)
    mode = partial.stat().st_mode
    try:
        yield partial
        with open(partial, "rb+") as file:
            os.fsync(file.fileno())
        partial.chmod(mode)             # safetensors puts a private file of its own in its place
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
