"""Who may import whom, so that importing the engine stays light."""
import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENGINE = ROOT / "minitensor"

# For each room, the rooms of the engine that it may import. Kernels know arrays, not Tensors;
# layers know ops, not kernels.
DOORS = {
    "backend": set(),
    "files": set(),
    "random": {"backend"},
    "guard": set(),
    "kernels": {"backend"},
    "tensor": {"backend", "guard"},
    "ops": {"backend", "kernels", "random", "tensor"},
    "nn": {"backend", "guard", "ops", "random", "tensor"},
    "optim": {"backend", "guard", "kernels", "nn", "tensor"},
    "graph": {"backend", "tensor"},
    "upload": {"backend"},
    "checkpoint": {"backend", "files"},
    "gradcheck": {"backend", "kernels", "nn", "ops", "random", "tensor"},
    "__init__": {"backend", "gradcheck", "graph", "kernels", "nn", "ops", "optim", "random",
                 "tensor", "upload"},
}
OUTSIDE = {     # beside numpy
    "backend": {"cupy"}, "kernels/cuda/launcher": {"cupy"}, "checkpoint": {"safetensors"},
    "gradcheck/networks": {"models"},
}


def imports(path):
    """The absolute names of the modules that a file imports, at its top or further in."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            above = package[:len(package) - node.level + 1]
            base = ".".join([*above, *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def room(module):
    """minitensor.ops.conv -> ops"""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def foreign(modules):
    """The packages of modules that do not come with Python."""
    return {name.split(".")[0] for name in modules} - set(sys.stdlib_module_names)


def files_of(folder):
    return sorted(path.relative_to(ROOT).as_posix() for path in folder.rglob("*.py"))


@pytest.mark.parametrize("file", files_of(ENGINE))
def test_the_engine_keeps_its_doors(file):
    path = ROOT / file
    home = path.relative_to(ENGINE).parts[0].removesuffix(".py")
    others = {room(name) for name in imports(path) if name.split(".")[0] == "minitensor"} - {home}
    assert others <= DOORS[home], f"{file} imports {sorted(others - DOORS[home])}"


@pytest.mark.parametrize("file", files_of(ENGINE))
def test_the_engine_imports_numpy_and_little_else(file):
    outside = foreign(imports(ROOT / file)) - {"minitensor", "numpy"}
    allowed = OUTSIDE.get(file.removeprefix("minitensor/").removesuffix(".py"), set())
    assert outside <= allowed, f"{file} imports {sorted(outside - allowed)}"


@pytest.mark.parametrize("file", files_of(ROOT / "data"))
def test_data_imports_numpy_and_pillow_only(file):
    progress = {"tqdm"} if file == "data/__main__.py" else set()
    assert foreign(imports(ROOT / file)) <= {"data", "numpy", "PIL"} | progress


def test_the_fast_kernels_have_the_names_and_arguments_of_the_textbook():
    import inspect

    from minitensor.kernels import KERNELS, cpu, cuda, reference

    def arguments(kernel):
        return [(p.name, p.default) for p in inspect.signature(kernel).parameters.values()]

    for fast in (cpu, cuda):
        names = [name for name in KERNELS if hasattr(fast, name)]
        assert {"conv2d", "conv2d_backward", "linear", "linear_backward"} <= set(names)
        for name in names:
            assert arguments(getattr(fast, name)) == arguments(getattr(reference, name)), name


def loaded_by(statement):
    """What a fresh interpreter has in sys.modules after statement, beyond what it had before."""
    code = ("import sys; before = set(sys.modules); "
            f"{statement}; print(*sorted(set(sys.modules) - before))")
    printed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
                             check=True).stdout
    return set(printed.split())


def test_import_minitensor_loads_numpy_and_nothing_heavier():
    ours = loaded_by("import minitensor") - loaded_by("import numpy.random")
    assert foreign(ours) <= {"minitensor", "numpy"}
    others = {name for name in ours if not name.startswith("minitensor")}
    assert len(others) <= 60, "beside its own modules"


def test_every_public_name_is_exported_on_purpose():
    import minitensor
    from minitensor import ops
    assert set(ops.__all__) <= vars(minitensor).keys()
    assert {"Tensor", "Op", "no_grad", "cat", "nn", "optim", "gradcheck", "use_kernels",
            "Generator"} <= vars(minitensor).keys()
