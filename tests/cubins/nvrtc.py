"""NVIDIA's runtime compiler, as CuPy uses it, from the packages nvidia-cuda-nvrtc (CUDA 13) and
nvidia-cuda-nvrtc-cu12."""
import ctypes
import functools
from importlib import metadata

PACKAGES = {13: "nvidia-cuda-nvrtc", 12: "nvidia-cuda-nvrtc-cu12"}


def problem() -> str | None:
    """Why kernels cannot be compiled here, or None."""
    missing = [package for version, package in PACKAGES.items() if not _library_path(version)]
    if not missing:
        return None
    return (f"compiling CUDA kernels needs {' and '.join(missing)}; "
            f"install with: pip install {' '.join(missing)}")


def compiler_for(architecture: str) -> int:
    """The CUDA version that compiles for it: 13 knows nothing before sm_75."""
    return 12 if architecture == "sm_70" else 13


def compiled(source: str, options: tuple[str, ...], architecture: str) -> str:
    """What the compiler and the assembler say while they turn source into machine code. Raises
    SyntaxError."""
    library = _library(compiler_for(architecture))
    program = ctypes.c_void_p()
    _check(library, library.nvrtcCreateProgram(ctypes.byref(program), source.encode(),
                                               b"kernels.cu", 0, None, None))
    try:
        options = (*options, f"-arch={architecture}", "--ptxas-options=-v")
        words = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        status = library.nvrtcCompileProgram(program, len(options), words)
        size = ctypes.c_size_t()
        _check(library, library.nvrtcGetProgramLogSize(program, ctypes.byref(size)))
        log = ctypes.create_string_buffer(size.value)
        _check(library, library.nvrtcGetProgramLog(program, log))
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))
    if status:
        raise SyntaxError(log.value.decode())
    return log.value.decode()


def version(cuda: int) -> str:
    return metadata.version(PACKAGES[cuda])


@functools.cache
def _library_path(cuda: int):
    try:
        files = metadata.files(PACKAGES[cuda]) or []
    except metadata.PackageNotFoundError:
        return None
    return next((f.locate() for f in files if f.name == f"libnvrtc.so.{cuda}"), None)


@functools.cache
def _library(cuda: int) -> ctypes.CDLL:
    library = ctypes.CDLL(str(_library_path(cuda)))
    library.nvrtcGetErrorString.restype = ctypes.c_char_p
    return library


def _check(library: ctypes.CDLL, status: int) -> None:
    if status:
        raise RuntimeError(f"NVRTC: {library.nvrtcGetErrorString(status).decode()}")
