"""Writes docs/api.md: every public name with its signature and its docstring.

    python docs/make_api.py            # writes the page; `text()` is what it writes
"""
import importlib
import inspect
import itertools
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
MODULES = ("minitensor", "minitensor.nn", "minitensor.nn.init", "minitensor.optim",
           "minitensor.checkpoint", "minitensor.kernels", "minitensor.kernels.geometry",
           "minitensor.kernels.reference", "models", "data")
INTRODUCTION = """# Every public name

Made from the docstrings by `make docs`; a test holds it to them. N images of C channels, H high and
W wide; KH, KW, OH, OW of windows and outputs: the glossary is in
[architecture.md](architecture.md#glossary).
"""


def text() -> str:
    """The page."""
    parts = [INTRODUCTION]
    for name in MODULES:
        module = importlib.import_module(name)
        parts.append(f"## {name}\n\n{_docstring(module)}")
        parts += [_entry(f"{name}.{public}", value) for public, value in public_names(module)]
    return "\n\n".join(parts) + "\n"


def public_names(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """What a module offers, in the order of the alphabet: its `__all__`, or, of a package, what it
    imports from its own modules, or what a module defines itself."""
    listed = getattr(module, "__all__", None)
    for name in sorted(listed or vars(module), key=str.lower):
        value = vars(module)[name]
        home = getattr(value, "__module__", None) or ""
        of_package = home.split(".")[0] == module.__name__.split(".")[0]
        inside = of_package if hasattr(module, "__path__") else home == module.__name__
        if not name.startswith("_") and callable(value) and (listed or inside):
            yield name, value


def _entry(name: str, value: Any) -> str:
    call = f"{value.__name__}{_signature(value)}"
    entry = f"### {name}\n\n```python\n{call}\n```\n\n{_docstring(value)}"
    if inspect.isclass(value):
        methods = [_method(method, function) for method, function in _members(value).items()
                   if not method.startswith("_") and inspect.getdoc(function)
                   and (inspect.isfunction(function) or isinstance(function, property))]
        entry += "".join(f"\n{method}" for method in ["", *methods]) if methods else ""
    return entry


def _members(value: type) -> dict[str, Any]:
    """What a class defines itself, or has of a base class that has no entry of its own."""
    private = itertools.takewhile(lambda base: not _is_public(base), value.__mro__[1:])
    own = [value, *private]
    return {name: member for base in reversed(own) for name, member in vars(base).items()}


def _is_public(base: type) -> bool:
    """Whether base has an entry, or is Python's."""
    package = base.__module__.split(".")[0]
    modules = [name for name in MODULES if name.split(".")[0] == package]
    return not modules or any(base is value for name in modules
                              for _, value in public_names(importlib.import_module(name)))


def _method(name: str, function: Any) -> str:
    first = re.split(r"\n\n", inspect.getdoc(function) or "")[0].replace("\n", " ")
    signature = "" if isinstance(function, property) else _signature(function)
    return f"- `{name}{signature}`: {first}"


def _signature(value: Any) -> str:
    try:
        signature = str(inspect.signature(value))
    except ValueError:
        return "(...)"
    signature = re.sub(r"(: |-> )'([^']*)'", r"\1\2", signature)         # annotations that are text
    signature = re.sub(r"(?:[A-Za-z_]\w*\.)+([A-Za-z_]\w*)", r"\1", signature)
    signature = re.sub(r"(?<=\()self(, |(?=\)))", "", signature)
    signature = re.sub(r"<function (<\w+>)?[^>]*>", "...", signature)
    return "\n    ".join(textwrap.wrap(signature, 92))


def _docstring(value: Any) -> str:
    """Lines that are indented further keep their shape."""
    lines = (inspect.getdoc(value) or "").splitlines()
    return "\n".join(f"    {line}" if line.startswith("    ") else line for line in lines)


if __name__ == "__main__":
    (HERE / "api.md").write_text(text(), encoding="utf-8")
