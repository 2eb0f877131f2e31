"""Every CUDA kernel compiles for every architecture without a spill, and somebody launches it."""
import pytest

import cubins
from cubins import nvrtc
from cubins.usage import parsed
from minitensor.kernels.cuda import launcher

SHARED_LIMIT = 48 * 1024        # bytes that a block may have without asking
needs_nvrtc = pytest.mark.skipif(bool(cubins.problem()), reason=str(cubins.problem()))


@pytest.fixture(scope="module")
def compiled():
    return dict(cubins.usages(cubins.all_builds()))


@needs_nvrtc
@pytest.mark.slow
@pytest.mark.parametrize("build", cubins.all_builds(), ids=str)
def test_a_file_compiles_and_nothing_spills(build, compiled):
    kernels = compiled[build]
    if isinstance(kernels, SyntaxError):
        raise kernels
    defined = launcher.kernels_in(launcher.source_of(build.file))
    assert {kernel.kernel for kernel in kernels} == set(defined)
    for kernel in kernels:
        assert kernel.spilled == 0, f"{kernel.kernel} spills {kernel.spilled} bytes"
        assert kernel.shared <= SHARED_LIMIT


def test_every_file_states_its_variants():
    files = [file.name for file in launcher.FOLDER.glob("*.cu")]
    assert [name for name in files if not launcher.variants(name)] == []


def test_every_kernel_is_launched_by_somebody():
    text = "".join(path.read_text() for path in launcher.FOLDER.parent.glob("*.py"))
    kernels = {name for file in launcher.FOLDER.glob("*.cu")
               for name in launcher.kernels_in(launcher.source_of(file.name))}
    assert kernels and {name for name in kernels if f'"{name}"' not in text} == set()


@needs_nvrtc
def test_a_kernel_that_does_not_compile_is_an_error():
    with pytest.raises(SyntaxError, match="nonsense"):
        nvrtc.compiled('extern "C" __global__ void broken() { nonsense(); }', (), "sm_90")


SPILLING = """
extern "C" __global__ void __launch_bounds__(1024, 2) spilling(const float* x, float* y, int n)
{
    float v[64];
    for (int i = 0; i < 64; i++) v[i] = x[threadIdx.x + i * n];
    for (int k = 0; k < n; k++)
        for (int i = 0; i < 64; i++) v[i] = v[i] * v[(i + 1) % 64] + v[(i + 7) % 64];
    for (int i = 0; i < 64; i++) y[threadIdx.x + i * n] = v[i];
}
"""


@needs_nvrtc
@pytest.mark.parametrize("architecture", cubins.ARCHITECTURES)
def test_a_spill_is_seen(architecture):
    kernel, = parsed(nvrtc.compiled(SPILLING, (), architecture))
    assert kernel.kernel == "spilling" and kernel.registers <= 32 and kernel.spilled > 0
