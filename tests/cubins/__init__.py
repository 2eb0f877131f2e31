"""Every CUDA kernel compiled without a GPU for each of their generations; `python -m tests.cubins`
prints what it takes there."""
from .nvrtc import problem as problem
from .usage import ARCHITECTURES as ARCHITECTURES, Build as Build, Usage as Usage
from .usage import all_builds as all_builds, usages as usages
