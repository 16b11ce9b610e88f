"""Pickles read as data: the opcodes are interpreted over inert values, so that nothing is imported, called or built.

What a pickle would import becomes a `Global`, what it would call a `Call`, and what it leaves to its reader a
`Persistent`. Python's documentation of the opcodes: `pickletools`.
"""

from __future__ import annotations

import io
import pickletools
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, final

from certify.errors import RefusedError

# Most opcodes interpreted: bounds time (some seconds) and memory (some hundred MiB).
MAX_OPERATIONS = 2_000_000

Scalar = None | bool | int | float | str | bytes


@final
@dataclass(frozen=True, slots=True)
class Global:
    """A class or function by name; not imported.

    Attributes:
        path: module and name, with dots.
    """

    path: str


@final
@dataclass(slots=True, eq=False)
class Call:
    """A call that was not made.

    Attributes:
        callee: what it would call.
        arguments: what it would pass.
        state: what it would set on the result; None for nothing.
        items: keys and values that it would set.
        elements: what it would append.
    """

    callee: object
    arguments: tuple[object, ...]
    state: object = None
    items: dict[str | int, object] = field(default_factory=dict)
    elements: list[object] = field(default_factory=list)


@final
@dataclass(frozen=True, slots=True, eq=False)
class Persistent:
    """What the pickle leaves to its reader, such as a storage.

    Attributes:
        key: how the pickle calls it.
    """

    key: object


@final
@dataclass(frozen=True, slots=True)
class Pickle:
    """A pickle, read.

    Attributes:
        value: made of None, bool, int, float, str, bytes, list, tuple, dict, Global, Call and Persistent.
        called: what it would call, in order, each once; `?` for what is no name.
        imported: what it would import, in order, each once.
        persistent: what it leaves to its reader, in order.
        end: position behind its last byte.
    """

    value: object
    called: tuple[str, ...]
    imported: tuple[str, ...]
    persistent: tuple[Persistent, ...]
    end: int


def read_pickle(content: bytes, where: str, start: int = 0) -> Pickle:
    """Read the pickle that starts at `start`.

    Raises:
        RefusedError: damaged, or too long.
    """
    stream = io.BytesIO(content)
    stream.seek(start)
    machine = _Machine()
    try:
        with warnings.catch_warnings():
            # Of escapes in text that are none.
            warnings.simplefilter("ignore")
            for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
                if count >= MAX_OPERATIONS:
                    raise RefusedError(f"{where}: its pickle has over {MAX_OPERATIONS} operations", code="over-limit")
                machine.step(opcode.name, argument)
        (value,) = machine.stack
    except (ValueError, LookupError, TypeError, OverflowError) as error:
        reason = " ".join(str(error).split())[:120]
        raise RefusedError(f"{where}: truncated or corrupt pickle ({reason})", code="corrupt-file") from error
    return Pickle(value, tuple(machine.called), tuple(machine.imported), tuple(machine.left), stream.tell())


class _Mark:
    """Where the arguments of an opcode begin on the stack."""


_MARK = _Mark()
_CONSTANTS: dict[str, Scalar] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict, "EMPTY_SET": list}
_LITERALS = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING"),
        *("SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE"),
        *("BINUNICODE8", "BYTEARRAY8"),
    )
)
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUTS, _GETS = ("PUT", "BINPUT", "LONG_BINPUT"), ("GET", "BINGET", "LONG_BINGET")


@dataclass(slots=True)
class _Machine:
    stack: list[object] = field(default_factory=list)
    memo: dict[int, object] = field(default_factory=dict)
    called: dict[str, None] = field(default_factory=dict)
    imported: dict[str, None] = field(default_factory=dict)
    left: list[Persistent] = field(default_factory=list)

    def step(self, name: str, argument: Any) -> None:  # noqa: ANN401
        """Interpret one opcode."""
        if name in _LITERALS:
            self.stack.append(bytes(argument) if isinstance(argument, bytearray) else argument)
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            self.stack.append(_EMPTY[name]())
        elif name in _PUTS:
            self.memo[argument] = self.stack[-1]
        elif name in _GETS:
            self.stack.append(self.memo[argument])
        elif name in _TUPLES:
            self._tuple(_TUPLES[name])
        elif name not in ("PROTO", "FRAME", "STOP"):
            handler = _HANDLERS.get(name)
            if handler is None:
                raise ValueError(f"opcode {name}")
            handler(self, argument)

    def mark(self, _: object) -> None:
        self.stack.append(_MARK)

    def pop(self, _: object) -> None:
        self.stack.pop()

    def pop_mark(self, _: object) -> None:
        self.marked()

    def duplicate(self, _: object) -> None:
        self.stack.append(self.stack[-1])

    def memoize(self, _: object) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def make_tuple(self, _: object) -> None:
        self.stack.append(tuple(self.marked()))

    def make_list(self, _: object) -> None:
        self.stack.append(self.marked())

    def make_dict(self, _: object) -> None:
        values = self.marked()
        self.stack.append({})
        self._set(values)

    def append(self, _: object) -> None:
        self._extend([self._value()])

    def appends(self, _: object) -> None:
        self._extend(self.marked())

    def set_item(self, _: object) -> None:
        value, key = self._value(), self._value()
        self._set([key, value])

    def set_items(self, _: object) -> None:
        self._set(self.marked())

    def named(self, argument: str) -> None:
        self._global(argument.replace(" ", "."))

    def stack_global(self, _: object) -> None:
        name, module = self._value(), self._value()
        if not isinstance(name, str) or not isinstance(module, str):
            raise TypeError("a name that is no text")
        self._global(f"{module}.{name}")

    def reduce(self, _: object) -> None:
        arguments, callee = self._value(), self._value()
        self._call(callee, arguments)

    def new_with_keywords(self, _: object) -> None:
        keywords, arguments, callee = self._value(), self._value(), self._value()
        self._call(callee, (arguments, keywords))

    def instance(self, argument: str) -> None:
        arguments = tuple(self.marked())
        self._global(argument.replace(" ", "."))
        self._call(self._value(), arguments)

    def make_object(self, _: object) -> None:
        callee, *arguments = self.marked()
        self._call(callee, tuple(arguments))

    def build(self, _: object) -> None:
        state, target = self._value(), self.stack[-1]
        if not isinstance(target, Call):
            raise TypeError("a state for what is no object")
        target.state = state

    def persistent(self, argument: str | None) -> None:
        key = self._value() if argument is None else argument
        match key:
            # How torch, before its zip format, wrote the class of a module, with its source.
            case ("module", Global() as named, *_):
                self.stack.append(named)
            case _:
                self.left.append(Persistent(key))
                self.stack.append(self.left[-1])

    def marked(self) -> list[object]:
        """What lies above the last mark, taken off with it."""
        values = []
        while (value := self.stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def _value(self) -> Any:  # noqa: ANN401
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError("a mark where a value is due")
        return value

    def _tuple(self, length: int) -> None:
        self.stack.append(tuple(reversed([self._value() for _ in range(length)])))

    def _global(self, path: str) -> None:
        self.imported[path] = None
        self.stack.append(Global(path))

    def _call(self, callee: object, arguments: object) -> None:
        if not isinstance(arguments, tuple):
            raise TypeError("arguments that are no tuple")
        self.called[callee.path if isinstance(callee, Global) else "?"] = None
        self.stack.append(Call(callee, arguments))

    def _extend(self, values: list[object]) -> None:
        target = self.stack[-1]
        if isinstance(target, Call):
            target.elements.extend(values)
        elif isinstance(target, list):
            target.extend(values)
        else:
            raise TypeError("elements for what is no list")

    def _set(self, values: list[object]) -> None:
        target = self.stack[-1]
        items = target.items if isinstance(target, Call) else target
        if not isinstance(items, dict):
            raise TypeError("items for what is no dict")
        for key, value in zip(values[::2], values[1::2], strict=True):
            # Other keys name no weights, and the hash of some takes forever.
            if isinstance(key, str) or (isinstance(key, int) and key.bit_length() <= 64):
                items[key] = value


_HANDLERS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "POP_MARK": _Machine.pop_mark,
    "DUP": _Machine.duplicate,
    "MEMOIZE": _Machine.memoize,
    "TUPLE": _Machine.make_tuple,
    "LIST": _Machine.make_list,
    "FROZENSET": _Machine.make_list,
    "DICT": _Machine.make_dict,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "ADDITEMS": _Machine.appends,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "GLOBAL": _Machine.named,
    "STACK_GLOBAL": _Machine.stack_global,
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.reduce,
    "NEWOBJ_EX": _Machine.new_with_keywords,
    "INST": _Machine.instance,
    "OBJ": _Machine.make_object,
    "BUILD": _Machine.build,
    "PERSID": _Machine.persistent,
    "BINPERSID": _Machine.persistent,
}
