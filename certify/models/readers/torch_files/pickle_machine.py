"""The opcodes of pickles, interpreted over inert values; Python's documentation of them: `pickletools`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, final

from certify.models.readers.torch_files.pickle_values import Call, Global, Persistent


class _Mark:
    """Where the arguments of an opcode begin on the stack."""


_MARK = _Mark()
_CONSTANTS: dict[str, bool | None] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
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


@final
@dataclass(slots=True)
class Machine:
    """What interprets a pickle, and what it has met so far.

    Attributes:
        stack: values, and marks between them.
        memo: values kept under a number.
        called: what the pickle would call, each once.
        imported: what it would import, each once.
        left: what it leaves to its reader.
    """

    stack: list[object] = field(default_factory=list)
    memo: dict[int, object] = field(default_factory=dict)
    called: dict[str, None] = field(default_factory=dict)
    imported: dict[str, None] = field(default_factory=dict)
    left: list[Persistent] = field(default_factory=list)

    def step(self, name: str, argument: Any) -> None:  # noqa: ANN401
        """Interpret one opcode.

        Raises:
            ValueError: an opcode that is not known, or a mark where a value is due.
            LookupError: what is not on the stack, or under no number.
            TypeError: values of a kind that the opcode does not take.
        """
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


_HANDLERS: dict[str, Callable[[Machine, Any], None]] = {
    "MARK": Machine.mark,
    "POP": Machine.pop,
    "POP_MARK": Machine.pop_mark,
    "DUP": Machine.duplicate,
    "MEMOIZE": Machine.memoize,
    "TUPLE": Machine.make_tuple,
    "LIST": Machine.make_list,
    "FROZENSET": Machine.make_list,
    "DICT": Machine.make_dict,
    "APPEND": Machine.append,
    "APPENDS": Machine.appends,
    "ADDITEMS": Machine.appends,
    "SETITEM": Machine.set_item,
    "SETITEMS": Machine.set_items,
    "GLOBAL": Machine.named,
    "STACK_GLOBAL": Machine.stack_global,
    "REDUCE": Machine.reduce,
    "NEWOBJ": Machine.reduce,
    "NEWOBJ_EX": Machine.new_with_keywords,
    "INST": Machine.instance,
    "OBJ": Machine.make_object,
    "BUILD": Machine.build,
    "PERSID": Machine.persistent,
    "BINPERSID": Machine.persistent,
}
