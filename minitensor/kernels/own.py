"""Kernels of your own: what a Python file or a module adds to the contract."""
import difflib
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any


def imported(path: str) -> ModuleType:
    """The module of a Python file, which may import files beside it.

    Raises ValueError that names the file and the line for whatever its import raises.
    """
    path = os.path.abspath(path)
    name = f"_kernels_of_{Path(path).stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # dataclasses look there
    sys.path.insert(0, os.path.dirname(path))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        reason = getattr(error, "msg", error)           # a SyntaxError's without its file and line
        raise ValueError(f"use_kernels: {path}, line {_line(path, error)}: "
                         f"{type(error).__name__}: {reason}") from error
    finally:
        sys.path.remove(os.path.dirname(path))
    return module


def _line(path: str, error: Exception) -> int:
    """Where in the file at path error comes from."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == path]
    return lines[-1] or 1 if lines else getattr(error, "lineno", None) or 1


def defined_in(module: ModuleType) -> dict[str, Callable]:
    """The functions of a file: those in its __all__, else all that are not imported."""
    return {name: value for name, value in vars(module).items() if callable(value)
            and (name in module.__all__ if hasattr(module, "__all__")
                 else value.__module__ == module.__name__)}


def check(name: str, functions: dict[str, Any], contract: dict[str, Callable]) -> None:
    """Raises ValueError unless some of the functions of the set called name are the contract's,
    with its arguments, and no other looks like a misspelt one."""
    for own in sorted(functions.keys() - contract.keys()):
        if close := difflib.get_close_matches(own, contract, 1, cutoff=0.85):
            raise ValueError(f"use_kernels: {name} defines {own}, which is no kernel; "
                             f"did you mean {close[0]}?")
    kernels = sorted(functions.keys() & contract.keys())
    if not kernels:
        raise ValueError(f"use_kernels: {name} defines no kernel (an imported one counts if "
                         f"__all__ has its name); the contract's are {', '.join(contract)}")
    for kernel in kernels:
        wanted, given = (_arguments(f) for f in (contract[kernel], functions[kernel]))
        if given is not None and given != wanted:
            raise ValueError(f"use_kernels: {name}: {kernel} takes {_listed(given)}, "
                             f"not {_listed(wanted or ())}")


def _arguments(function: Any) -> list[str] | None:
    """The names of function's arguments; None for one that takes any, or does not tell."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return None
    takes_any = any(p.kind is p.VAR_POSITIONAL for p in parameters.values())
    return None if takes_any else list(parameters)


def _listed(names: Iterable[str]) -> str:
    return f"({', '.join(names)})"
