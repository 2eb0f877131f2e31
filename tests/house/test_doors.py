"""Who may import whom: the tables in docs/architecture.md, held; and no circles."""
import ast
import inspect
import pathlib
import re
import subprocess
import sys

import pytest

from module_graph import PACKAGES, ROOT, circles, foreign, graph_of, modules_in, named_imports

MODULES = {name: path for package in PACKAGES for name, path in modules_in(ROOT / package).items()}
GRAPH = graph_of(*(ROOT / package for package in PACKAGES))


def doors():
    """{room: rooms that it may import}, from the tables `| room | may import |`."""
    text = (ROOT / "docs/architecture.md").read_text()
    text = text.partition("## Who may import whom\n")[2].partition("\n## ")[0]
    rows = {room: set(re.findall(r"`([\w/]+)`", others))
            for room, others in re.findall(r"^\| `([\w/]+)` \| (.*)\|$", text, re.M)}
    commands = {room for room in rows if room.startswith("models/")} - {"models/commands"}
    return {**rows, "models/commands": commands}                # "all of them"


OUTSIDE = {     # beside NumPy
    "minitensor.backend": {"cupy"}, "minitensor.kernels.cuda.launcher": {"cupy"},
    "minitensor.checkpoint": {"safetensors"}, "minitensor.gradcheck.family": {"models"},
    "data.__main__": {"tqdm", "PIL", "minitensor"},
}

DOORS = doors()
INSIDE = ("minitensor", "models")       # the packages whose rooms have doors of their own


def room(module):
    """minitensor.ops.conv -> minitensor/ops; __init__ and __main__ belong to no room."""
    package, *inside = module.split(".")
    return "/".join((package, *inside[:1])) if inside != ["__main__"] else package


def test_every_room_has_its_row():
    packages, rooms = set(PACKAGES), {room(m) for m in MODULES if m.startswith(INSIDE)}
    assert packages | rooms == DOORS.keys()


def test_a_room_imports_rooms_above_it_only():
    rooms = list(DOORS)
    assert [(home, other) for home, others in DOORS.items() for other in others
            if rooms.index(other) >= rooms.index(home)] == []


@pytest.mark.parametrize("module", MODULES)
def test_a_module_keeps_to_its_doors(module):
    package, home = module.split(".")[0], room(module)
    packages = {other.split(".")[0] for other in GRAPH[module]} - {package}
    packages -= OUTSIDE.get(module, set())
    assert packages <= DOORS[package], f"{module} imports {sorted(packages)}"
    if "/" in home and package in INSIDE:
        others = {room(other) for other in GRAPH[module]
                  if other.startswith(f"{package}.")} - {home}
        assert others <= DOORS[home], f"{module} imports {sorted(others - DOORS[home])}"


def test_models_has_few_rooms():
    rooms = [path.name for path in (ROOT / "models").iterdir() if path.name != "__pycache__"]
    assert len(rooms) <= 14, sorted(rooms)


def test_no_import_circle():
    assert [sorted(circle) for circle in circles(GRAPH)] == []


def test_a_planted_circle_is_found(tmp_path):
    files = {
        "__init__": "from .a import x",
        "a": "from . import b\nimport os",
        "b": "def later():\n    from .inner.c import y",         # inside a function
        "inner/__init__": "",
        "inner/c": "from ..a import x",
        "d": "from .a import x\nfrom .inner import c",
        "inner/e": "from house import x",                         # the package above itself
    }
    (tmp_path / "house" / "inner").mkdir(parents=True)
    for name, text in files.items():
        (tmp_path / "house" / f"{name}.py").write_text(text)
    graph = graph_of(tmp_path / "house")
    assert graph["house.d"] == {"house.a", "house.inner", "house.inner.c"}
    assert graph["house.inner.e"] == {"house"}
    assert circles(graph) == {frozenset({"house.a", "house.b", "house.inner.c"})}


# ---- what does not come with Python --------------------------------------------------------------


@pytest.mark.parametrize("module", [m for m in MODULES if m.startswith(("minitensor", "data"))])
def test_the_engine_and_data_import_little(module):
    package = module.split(".")[0]
    allowed = {package, "numpy"} | OUTSIDE.get(module, {"PIL"} if package == "data" else set())
    outside = foreign(named_imports(module, MODULES[module], MODULES)) - allowed
    assert not outside, f"{module} imports {sorted(outside)}"


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


def test_help_needs_numpy_only():
    ours = loaded_by("import models.commands") - loaded_by("import numpy.random")
    assert foreign(ours) <= {"minitensor", "models", "numpy"}


# ---- who speaks with the user --------------------------------------------------------------------

@pytest.mark.parametrize("module", [
    m for m in MODULES if m.startswith("models") and m != "models.progress"
    and not m.startswith("models.commands")])
def test_only_commands_and_progress_speak_with_the_user(module):
    names = named_imports(module, MODULES[module], MODULES)
    assert "argparse" not in names and "tqdm" not in foreign(names)
    tree = ast.walk(ast.parse(MODULES[module].read_text()))
    called = {node.func.id for node in tree
              if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"print", "input"}


@pytest.mark.parametrize("module", [
    m for m in MODULES if m.startswith("models.") and m != "models.training.view"
    and not m.startswith("models.commands")])
def test_only_commands_and_the_view_name_options(module):
    texts = [node.value for node in ast.walk(ast.parse(MODULES[module].read_text()))
             if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert [t for t in texts if re.search(r"(^|\s)--[a-z]", t) and "curl" not in t] == []


# ---- what the floors agree on --------------------------------------------------------------------

def test_the_fast_kernels_have_the_names_and_arguments_of_the_textbook():
    from minitensor.kernels import KERNELS, cpu, cuda, reference

    def arguments(kernel):
        return [(p.name, p.default) for p in inspect.signature(kernel).parameters.values()]

    for fast in (cpu, cuda):
        names = [name for name in KERNELS if hasattr(fast, name)]
        assert {"conv2d", "conv2d_backward", "linear", "linear_backward"} <= set(names)
        for name in names:
            assert arguments(getattr(fast, name)) == arguments(getattr(reference, name)), name


def test_a_theme_has_the_same_file_on_every_floor():
    themes = {"activation", "conv", "dropout", "epilogue", "linear", "loss", "norm", "pool",
              "products", "update"}
    kernels = ROOT / "minitensor/kernels"
    for floor in ("reference", "cpu", "cuda"):
        assert themes <= {path.stem for path in (kernels / floor).glob("*.py")}, floor
    assert themes <= {path.stem for path in (kernels / "cuda/src").glob("*.cu")}


def test_a_kernel_of_a_theme_is_what_its_floor_exports():
    from minitensor.kernels import KERNELS, cpu, cuda
    for floor in (cpu, cuda):
        folder = pathlib.Path(floor.__file__).parent
        defined = {(path.stem, node.name) for path in folder.glob("*.py")
                   for node in ast.parse(path.read_text()).body
                   if isinstance(node, ast.FunctionDef) and node.name in KERNELS}
        exported = {(kernel.__module__.rpartition(".")[2], name)
                    for name, kernel in vars(floor).items() if name in KERNELS}
        assert defined == exported, floor.__name__


def test_every_public_name_is_exported_on_purpose():
    import minitensor
    from minitensor import ops
    public = {name for name, value in vars(minitensor).items()
              if not name.startswith("_") and callable(value)}
    assert public == set(ops.__all__) | {
        "Generator", "Graph", "Op", "Tensor", "arange", "capture", "free_buffers", "full",
        "get_num_threads", "ones", "ones_like", "rand", "randn", "zeros", "zeros_like",
        "gpu_available", "gradcheck", "is_grad_enabled", "manual_seed", "no_grad",
        "set_num_threads", "synchronize", "uploaded", "use_kernels", "use_precision"}
