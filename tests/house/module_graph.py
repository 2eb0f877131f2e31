"""Which module of the house imports which, as the files say it."""
import ast
import sys
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


def named_imports(name, path, modules):
    """What a file imports, at its top or further in, by absolute names: of modules that have such
    a file, of others that which stands behind `from` or `import`."""
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
    return found


def imported_by(name, path, modules):
    """The modules that a file imports, with the packages whose `__init__` runs on the way."""
    found = named_imports(name, path, modules)
    parents = {".".join(target.split(".")[:i]) for target in found
               for i in range(1, target.count(".") + 1)}
    running = {".".join(name.split(".")[:i]) for i in range(1, name.count(".") + 1)}
    return ((found | (parents - running)) & modules.keys()) - {name}


def graph_of(*folders):
    modules = {name: path for folder in folders for name, path in modules_in(folder).items()}
    return {name: imported_by(name, path, modules) for name, path in modules.items()}


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


def foreign(names):
    """The packages of modules that do not come with Python."""
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names)
