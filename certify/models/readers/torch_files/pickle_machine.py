"""The opcodes of pickles, interpreted over inert values; Python's documentation of them: `pickletools`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from certify.models.readers.torch_files.pickle_values import Call, Global, Persistent


class _Mark:
    """Where the arguments of an opcode begin on the stack."""


_MARK = _Mark()
# Opcodes whose argument is a value.
_LITERALS = (
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING"),
    *("SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE"),
    "BINUNICODE8",
)


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
        handler = _HANDLERS.get(name)
        if handler is None:
            raise ValueError(f"opcode {name}")
        handler(self, argument)

    def make_dict(self, _: object) -> None:
        values = self.marked()
        self.stack.append({})
        self.set_items(values)

    def named(self, argument: str) -> None:
        self._global(argument.replace(" ", "."))

    def stack_global(self, _: object) -> None:
        module, name = self.last(2)
        if not isinstance(name, str) or not isinstance(module, str):
            raise TypeError("a name that is no text")
        self._global(f"{module}.{name}")

    def reduce(self, _: object) -> None:
        self._call(*self.last(2))

    def new_with_keywords(self, _: object) -> None:
        callee, arguments, keywords = self.last(3)
        self._call(callee, (arguments, keywords))

    def instance(self, argument: str) -> None:
        arguments = tuple(self.marked())
        self._global(argument.replace(" ", "."))
        self._call(self.stack.pop(), arguments)

    def make_object(self, _: object) -> None:
        callee, *arguments = self.marked()
        self._call(callee, tuple(arguments))

    def build(self, _: object) -> None:
        (state,), target = self.last(1), self.stack[-1]
        if not isinstance(target, Call):
            raise TypeError("a state for what is no object")
        target.state = state

    def persistent(self, argument: str | None) -> None:
        key = self.last(1)[0] if argument is None else argument
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

    def last(self, count: int) -> tuple[Any, ...]:
        """The last values, taken off, in the order in which they were put."""
        values = [self.stack.pop() for _ in range(count)]
        if _MARK in values:
            raise ValueError("a mark where a value is due")
        return tuple(reversed(values))

    def _global(self, path: str) -> None:
        self.imported[path] = None
        self.stack.append(Global(path))

    def _call(self, callee: object, arguments: object) -> None:
        if not isinstance(arguments, tuple):
            raise TypeError("arguments that are no tuple")
        self.called[callee.path if isinstance(callee, Global) else "?"] = None
        self.stack.append(Call(callee, arguments))

    def extend(self, values: Iterable[object]) -> None:
        target = self.stack[-1]
        if isinstance(target, Call):
            target.elements.extend(values)
        elif isinstance(target, list):
            target.extend(values)
        else:
            raise TypeError("elements for what is no list")

    def set_items(self, values: Sequence[object]) -> None:
        target = self.stack[-1]
        items = target.items if isinstance(target, Call) else target
        if not isinstance(items, dict):
            raise TypeError("items for what is no dict")
        for key, value in zip(values[::2], values[1::2], strict=True):
            # Other keys name no weights, and the hash of some takes forever.
            if isinstance(key, str) or (isinstance(key, int) and key.bit_length() <= 64):
                items[key] = value


_HANDLERS: dict[str, Callable[[Machine, Any], object]] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), lambda machine, _: None),
    **dict.fromkeys(_LITERALS, lambda machine, argument: machine.stack.append(argument)),
    "BYTEARRAY8": lambda machine, argument: machine.stack.append(bytes(argument)),
    "NONE": lambda machine, _: machine.stack.append(None),
    "NEWTRUE": lambda machine, _: machine.stack.append(True),
    "NEWFALSE": lambda machine, _: machine.stack.append(False),
    "EMPTY_TUPLE": lambda machine, _: machine.stack.append(()),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    **dict.fromkeys(("EMPTY_LIST", "EMPTY_SET"), lambda machine, _: machine.stack.append([])),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), lambda machine, n: machine.memo.update({n: machine.stack[-1]})),
    "MEMOIZE": lambda machine, _: machine.memo.update({len(machine.memo): machine.stack[-1]}),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda machine, n: machine.stack.append(machine.memo[n])),
    "MARK": lambda machine, _: machine.stack.append(_MARK),
    "POP": lambda machine, _: machine.stack.pop(),
    "POP_MARK": lambda machine, _: machine.marked(),
    "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
    "TUPLE1": lambda machine, _: machine.stack.append(machine.last(1)),
    "TUPLE2": lambda machine, _: machine.stack.append(machine.last(2)),
    "TUPLE3": lambda machine, _: machine.stack.append(machine.last(3)),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.marked())),
    **dict.fromkeys(("LIST", "FROZENSET"), lambda machine, _: machine.stack.append(machine.marked())),
    "DICT": Machine.make_dict,
    "APPEND": lambda machine, _: machine.extend(machine.last(1)),
    **dict.fromkeys(("APPENDS", "ADDITEMS"), lambda machine, _: machine.extend(machine.marked())),
    "SETITEM": lambda machine, _: machine.set_items(machine.last(2)),
    "SETITEMS": lambda machine, _: machine.set_items(machine.marked()),
    "GLOBAL": Machine.named,
    "STACK_GLOBAL": Machine.stack_global,
    **dict.fromkeys(("REDUCE", "NEWOBJ"), Machine.reduce),
    "NEWOBJ_EX": Machine.new_with_keywords,
    "INST": Machine.instance,
    "OBJ": Machine.make_object,
    "BUILD": Machine.build,
    **dict.fromkeys(("PERSID", "BINPERSID"), Machine.persistent),
}
