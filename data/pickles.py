"""Pickles read without being executed, by a stack machine with few opcodes.

`pickle.load` runs whatever a file asks for. Here a name in a pickle is looked up in a table of
ours, and a call is a call of ours; what the table lacks is refused, or becomes a Placeholder.
"""
from __future__ import annotations

import math
import pickletools
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

# So that a file of many small objects cannot fill the memory: AlexNet's parameters take some 400, a
# batch of CIFAR-10 some 30,000, the losses of a long training beside its weights more.
MAX_OPCODES = 500_000

LITERALS = {"INT", "LONG", "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
            "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
            "STRING", "BINSTRING", "SHORT_BINSTRING",
            "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class Forbidden(ValueError):
    """A pickle asks for a name that is not in the table."""


class Name:
    """A global name of a pickle, and the function of ours that stands for it.

    None for what is only mentioned.
    """

    def __init__(self, name: str, function: Callable | None):
        self.name, self.function = name, function


class Buildable:
    """What BUILD may fill."""

    def build(self, state: Any) -> None:
        raise NotImplementedError


class Placeholder(Buildable):
    """The object that an unknown name, called, would have made; nothing is called in its place.

    state is what it would have been filled with, items are those of a dict of its own kind.
    """

    def __init__(self, name: str):
        self.name, self.state, self.items = name, None, {}      # type: ignore[var-annotated]

    def build(self, state: Any) -> None:
        self.state = state


class PickledDtype(Buildable):
    """numpy.dtype(code), with its byte order as the second item of its state."""

    def __init__(self, code: Any, *rest: Any):
        self.code, self.order = code, "="

    def build(self, state: Any) -> None:
        self.order = state[1]


class PickledArray(Buildable):
    """numpy.ndarray, whose state is a tuple:

    (version, shape, dtype, whether the first index runs fastest, bytes or a list of objects).
    """

    def __init__(self, *arguments: Any):
        self.shape, self.dtype, self.fortran = (0,), PickledDtype(None), False
        self.content: Any = None

    def build(self, state: Any) -> None:
        if not (isinstance(state, tuple) and len(state) == 5 and isinstance(state[1], tuple)
                and isinstance(state[2], PickledDtype)):
            raise ValueError(NOT_NUMPYS)
        _, self.shape, self.dtype, self.fortran, self.content = state

    def bytes(self) -> bytes:
        content = self.content
        content = content.encode("latin1") if isinstance(content, str) else content     # Python 2
        if not isinstance(content, bytes | bytearray):
            raise ValueError(NOT_NUMPYS)
        return bytes(content)


def _from_buffer(content: Any, dtype: Any, shape: Any, order: Any,
                 axes: Any = None) -> PickledArray:
    """An array of protocol 5; axes are those of its memory, in the array's order."""
    if axes is not None and len(content):
        elements = np.frombuffer(content, f"V{len(content) // max(1, math.prod(shape))}")
        in_order = elements.reshape(shape).transpose(axes)
        shape, content = in_order.shape, in_order.tobytes()
    array = PickledArray()
    array.build((1, shape, dtype, order == "F", content))
    return array


def _encode(text: Any, encoding: Any) -> bytes:
    """_codecs.encode, by which Python 3 writes bytes for Python 2."""
    if not isinstance(text, str) or encoding != "latin1":
        raise ValueError("its pickle encodes text other than as latin1")
    return text.encode("latin1")


NOT_NUMPYS = "one of its arrays is not as NumPy writes them"
ARRAYS: dict[str, Callable | None] = {          # the names that arrays need
    "numpy ndarray": None,
    "numpy dtype": PickledDtype,
    "numpy.core.multiarray _reconstruct": PickledArray,
    "numpy._core.multiarray _reconstruct": PickledArray,
    "numpy.core.numeric _frombuffer": _from_buffer,
    "numpy._core.numeric _frombuffer": _from_buffer,
    "_codecs encode": _encode,
}


def load(stream: BinaryIO, names: Mapping[str, Callable | None],
         persistent: Callable[[Any], Any] | None = None, content: str = "weights",
         inert: bool = False) -> Any:
    """The object of the pickle that begins at the stream's position, which is left behind it.

    stream      in memory or mapped: a damaged pickle may ask to read more than a memory holds
    names       the allowed globals, as "module name", and what is called in their place
    persistent  makes an object of a persistent id
    content     what messages call what the file should hold, in the plural
    inert       names that are not allowed become Placeholders; else they raise Forbidden

    Raises ValueError for anything malformed or not allowed.
    """
    machine = _Machine(names, persistent, content, inert)
    try:
        for count, (opcode, argument, _) in enumerate(_opcodes(stream)):
            if count >= MAX_OPCODES:
                raise ValueError(f"its pickle is longer than those of {content} are")
            machine.do(opcode.name, argument)
        return machine.stack.pop()
    except (IndexError, KeyError, TypeError, AttributeError, OverflowError) as error:
        # An empty stack, an unknown memo, an odd operand.
        raise ValueError(f"its pickle is malformed ({type(error).__name__})") from error


def _opcodes(stream: BinaryIO) -> Iterator[tuple]:
    """Without pickletools' own complaints, which quote what they found, be it megabytes.

    It also warns of escapes in text that we do not take anyway.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield from pickletools.genops(stream)
    except ValueError as error:
        raise ValueError("its pickle is cut off or damaged") from error


class _Machine:
    """The stack, the marks in it, and the memo, as `pickletools` describes them."""

    def __init__(self, names: Mapping[str, Callable | None],
                 persistent: Callable[[Any], Any] | None, content: str, inert: bool):
        self.names, self.persistent = names, persistent
        self.content, self.inert = content, inert
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def do(self, opcode: str, argument: Any) -> None:
        stack = self.stack
        if opcode in LITERALS:
            stack.append(argument)
        elif opcode in CONSTANTS:
            stack.append(CONSTANTS[opcode])
        elif opcode in TUPLES:
            stack.append(tuple(self._taken(TUPLES[opcode])))
        elif hasattr(self, f"_{opcode.lower()}"):
            getattr(self, f"_{opcode.lower()}")(argument)
        else:
            raise ValueError(f"its pickle holds {opcode}, which {self.content} do not need")

    def _taken(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise IndexError
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def _since_mark(self) -> list[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    # ---- one method per opcode -----------------------------------------------------------------

    def _proto(self, version: int) -> None:
        pass

    def _frame(self, size: int) -> None:
        pass

    def _stop(self, _: None) -> None:
        pass

    def _mark(self, _: None) -> None:
        self.marks.append(len(self.stack))

    def _empty_list(self, _: None) -> None:
        self.stack.append([])

    def _empty_dict(self, _: None) -> None:
        self.stack.append({})

    def _tuple(self, _: None) -> None:
        items = self._since_mark()
        self.stack.append(tuple(items))

    def _list(self, _: None) -> None:
        items = self._since_mark()
        self.stack.append(items)

    def _dict(self, _: None) -> None:
        items = self._since_mark()
        self.stack.append({})
        self._update(items)

    def _empty_set(self, _: None) -> None:
        self.stack.append(Placeholder("set"))

    def _additems(self, _: None) -> None:
        self._extend(self._since_mark())

    def _frozenset(self, _: None) -> None:
        self._since_mark()
        self._empty_set(_)

    def _pop(self, _: None) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self._taken(1)

    def _pop_mark(self, _: None) -> None:
        self._since_mark()

    def _dup(self, _: None) -> None:
        self.stack.append(self.stack[-1])

    def _append(self, _: None) -> None:
        self._extend(self._taken(1))

    def _appends(self, _: None) -> None:
        self._extend(self._since_mark())

    def _extend(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is list:
            self.stack[-1].extend(items)
        elif not isinstance(self.stack[-1], Placeholder):
            raise TypeError

    def _setitem(self, _: None) -> None:
        self._update(self._taken(2))

    def _setitems(self, _: None) -> None:
        self._update(self._since_mark())

    def _update(self, items: list[Any]) -> None:
        """items: keys and values in turn.

        What stands under another key is left out: nested tuples take long to hash.
        """
        target = self.stack[-1]
        entries = target.items if isinstance(target, Placeholder) else target
        if type(entries) is not dict:
            raise TypeError
        entries.update((key, value) for key, value in zip(items[::2], items[1::2], strict=True)
                       if key is None or isinstance(key, KEYS))

    def _binput(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    _long_binput = _put = _binput

    def _memoize(self, _: None) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _binget(self, index: int) -> None:
        self.stack.append(self.memo[index])

    _long_binget = _get = _binget

    def _global(self, name: str) -> None:
        if name not in self.names and not self.inert:
            raise Forbidden(f"its pickle asks for {name[:80].replace(' ', '.')!r}, which "
                            f"{self.content} do not need")
        self.stack.append(Name(name, self.names.get(name)))

    def _stack_global(self, _: None) -> None:
        module, name = self._taken(2)
        if not isinstance(module, str) or not isinstance(name, str):
            raise TypeError
        self._global(f"{module} {name}")

    def _reduce(self, _: None) -> None:
        self._call(*self._taken(2))

    _newobj = _reduce

    def _newobj_ex(self, _: None) -> None:
        self._call(*self._taken(3)[:2])

    def _obj(self, _: None) -> None:
        items = self._since_mark()
        self._call(items[0], tuple(items[1:]))

    def _inst(self, name: str) -> None:
        arguments = tuple(self._since_mark())
        self._global(name)
        self._call(self.stack.pop(), arguments)

    def _call(self, name: Any, arguments: Any) -> None:
        if isinstance(name, Name) and name.function and type(arguments) is tuple:
            self.stack.append(name.function(*arguments))
        elif self.inert:
            self.stack.append(Placeholder(name.name if isinstance(name, Name) else "object"))
        else:
            raise TypeError

    def _build(self, _: None) -> None:
        state = self._taken(1)[0]
        target = self.stack[-1]
        if isinstance(target, Buildable):
            target.build(state)
        elif type(target) is not dict and not self.inert:   # a dict's attributes are of no use
            raise TypeError

    def _persid(self, persistent_id: Any) -> None:
        if self.persistent is None:
            raise TypeError
        self.stack.append(self.persistent(persistent_id))

    def _binpersid(self, _: None) -> None:
        self._persid(self._taken(1)[0])


KEYS = (str, bytes, int, float, Name, Placeholder)
