"""No import circles: the modules of the house can be read one after the other, from the bottom.

Every import counts, wherever in a file it stands: one inside a function hides a circle, it does
not open it.
"""
import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("minitensor", "models", "data", "benchmarks")


def modules_in(folder):
    """{dotted name: path} of the modules of a package; a package is the module `__init__`."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported_by(name, path, modules):
    """The modules that a file imports, with the packages whose `__init__` runs on the way."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[:len(package.split(".")) - node.level + 1]
            base = ".".join([*above, *filter(None, [node.module])]) if node.level else node.module
            # `from package import name`: of a module that is called so, or of the package itself.
            found |= {f"{base}.{alias.name}" if f"{base}.{alias.name}" in modules else base
                      for alias in node.names}
    parents = {".".join(target.split(".")[:i]) for target in found
               for i in range(1, target.count(".") + 1)}
    running = {".".join(name.split(".")[:i]) for i in range(1, name.count(".") + 1)}
    return ((found | (parents - running)) & modules.keys()) - {name}


def circles(graph):
    """The sets of nodes, two or more, that reach one another: strongly connected components."""
    reached = {}
    for start in graph:
        seen, waiting = set(), [start]
        while waiting:
            new = graph[waiting.pop()] - seen
            seen |= new
            waiting += new
        reached[start] = seen
    return {frozenset(other for other in reached[node] if node in reached[other])
            for node in graph if node in reached[node]}


def graph_of(*folders):
    modules = {name: path for folder in folders for name, path in modules_in(folder).items()}
    return {name: imported_by(name, path, modules) for name, path in modules.items()}


def test_no_import_circle():
    graph = graph_of(*(ROOT / package for package in PACKAGES))
    assert {"minitensor", "models", "data", "benchmarks"} <= graph.keys()
    assert "data.crops" in graph["data.batch_at_once"]
    assert [sorted(circle) for circle in circles(graph)] == []


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
