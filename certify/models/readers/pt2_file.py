"""`.pt2` files of `torch.export.save`: its JSON and its raw weights, read without `torch.export.load`.

Layout (torch 2.9 and later): `models/NAME.json` is the program, and `data/weights/NAME_weights_config.json` says which
entry of `data/weights` holds which parameter; constants likewise. Nothing else in the archive is read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch

from certify.errors import RefusedError, UnsupportedError
from certify.models.readers.archive import Archive
from certify.models.readers.aten_program import Argument, Call, Constant, Extents, Opaque, Program, Reference
from certify.models.readers.exact_weights import require_plain_names, unfit_weight
from certify.models.readers.json_document import parse_json
from certify.models.readers.torch_files.torch_storages import ZipStorages
from certify.models.readers.torch_files.torch_tensors import StoredTensor, read_tensors

# The version of torch's export schema that this reader follows; a file of another major version is refused.
SCHEMA_MAJOR = 8
_PROGRAMS, _STRIDED = "models/", 7
_GROUPS = _WEIGHTS, _CONSTANTS = "weights", "constants"
_POSITIONAL = 1
# torch._export.serde.schema.ScalarType
_TYPES = {
    **{1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64, 6: torch.float16},
    **{7: torch.float32, 8: torch.float64, 9: torch.complex32, 10: torch.complex64, 11: torch.complex128},
    **{12: torch.bool, 13: torch.bfloat16, 28: torch.uint16, 29: torch.float8_e4m3fn, 30: torch.float8_e5m2},
}
_MISSHAPEN = (KeyError, TypeError, ValueError, AttributeError, IndexError)


def looks_like_pt2(members: Collection[str]) -> bool:
    """Whether an archive with these entries has the layout of `torch.export.save`, of any version."""
    return any(name.rpartition("/")[2] in ("archive_format", "serialized_exported_program.json") for name in members)


def read_pt2(archive: Archive) -> Program:
    """The program of a `.pt2` file.

    Raises:
        RefusedError: damaged, of another schema, or with weights that are pickled.
        UnsupportedError: several programs.
    """
    root, name = _program_entry(archive)
    archive.require_torch_names(root)
    where = archive.where
    content = parse_json(archive.document(f"{root}{_PROGRAMS}{name}.json"), where)
    try:
        _require_schema(content, where)
        stored = {group: dict(_stored(archive, root, group, name)) for group in _GROUPS}
        return _program(content["graph_module"], stored, archive)
    except _MISSHAPEN as error:
        raise RefusedError(
            f"{where}: corrupt: its program does not follow torch's schema ({type(error).__name__})",
            code="corrupt-file",
        ) from error


def _program_entry(archive: Archive) -> tuple[str, str]:
    """The folder of all entries, as torch finds it, and the name of the program."""
    root = next(iter(archive.members), "").partition("/")[0] + "/"
    found = [name.removeprefix(root + _PROGRAMS) for name in archive.members if name.startswith(root + _PROGRAMS)]
    if len(found) > 1:
        raise UnsupportedError(f"{archive.where}: holds {len(found)} programs; save one", "unsupported-architecture")
    if not found or not found[0].endswith(".json"):
        raise RefusedError(
            f"{archive.where}: a .pt2 file without a program in models/, as torch wrote before 2.9, or not from "
            "torch.export.save; export and save the model again",
            code="corrupt-file",
        )
    return root, found[0].removesuffix(".json")


def _require_schema(content: Any, where: str) -> None:  # noqa: ANN401
    major, minor = (_number(content["schema_version"][part]) for part in ("major", "minor"))
    if major != SCHEMA_MAJOR:
        age = "newer" if major > SCHEMA_MAJOR else "older"
        raise RefusedError(
            f"{where}: follows version {major}.{minor} of torch's export schema, {age} than the {SCHEMA_MAJOR} that "
            "certify reads; save it with a torch that certify supports, or upgrade certify",
            code="unsupported-schema",
        )


def _stored(archive: Archive, root: str, group: str, name: str) -> Iterator[tuple[str, tuple[StoredTensor, bool]]]:
    """Each tensor of a group, and whether it is said to take gradients."""
    folder, where = f"{root}data/{group}/", archive.where
    if f"{folder}{name}.pt" in archive.members:
        raise unfit_weight("pickled, not stored as plain values", name, where)
    entry = f"{folder}{name}_{group}_config.json"
    if entry not in archive.members:
        return
    config = parse_json(archive.document(entry), where)["config"]
    require_plain_names(config, where)
    types: dict[str, torch.dtype] = {}
    for key, stated in config.items():
        meta = stated.get("tensor_meta")
        if stated["use_pickle"] or meta is None:
            raise unfit_weight("pickled, not stored as plain values", key, where)
        tensor = _stored_tensor(meta, f"{folder}{stated['path_name']}", key, where)
        # Torch reads an entry once, with the type under which it meets it first.
        if types.setdefault(tensor.storage, tensor.dtype) != tensor.dtype:
            raise ValueError("an entry of two types")
        yield key, (tensor, meta.get("requires_grad") is not False)


def _stored_tensor(meta: Any, entry: str, name: str, where: str) -> StoredTensor:  # noqa: ANN401
    if meta["layout"] != _STRIDED:
        raise unfit_weight("sparse or nested", name, where)
    if meta["dtype"] not in _TYPES:
        raise unfit_weight("of a type that torch's export schema does not name", name, where)
    size, stride = (tuple(_whole(entry) for entry in meta[key]) for key in ("sizes", "strides"))
    if len(size) != len(stride) or len(size) > 64:
        raise ValueError("sizes")
    return StoredTensor(entry, _TYPES[meta["dtype"]], _whole(meta["storage_offset"]), size, stride)


def _whole(entry: Any) -> int:  # noqa: ANN401
    return _number(entry["as_int"])


def _number(value: Any) -> int:  # noqa: ANN401
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise ValueError("a number")
    return value


def _program(
    module: Any,  # noqa: ANN401
    stored: Mapping[str, Mapping[str, tuple[StoredTensor, bool]]],
    archive: Archive,
) -> Program:
    graph, signature = module["graph"], module["signature"]
    inputs: dict[str, Extents] = {}
    # Group and name of each constant, and whether it is a parameter, by the name of its value.
    named: dict[str, tuple[str, str, bool]] = {}
    for spec in signature["input_specs"]:
        match spec:
            case {"user_input": {"arg": {"as_tensor": {"name": str(name)}}}}:
                inputs[name] = _extents(graph, name) or ()
            case {"user_input": {"arg": _}}:
                # A number that the model was exported with is written into the graph.
                continue
            case {"parameter": {"arg": {"name": str(name)}, "parameter_name": str(key)}}:
                named[name] = (_WEIGHTS, key, True)
            case {"buffer": {"arg": {"name": str(name)}, "buffer_name": str(key), "persistent": bool(kept)}}:
                named[name] = (_WEIGHTS if kept else _CONSTANTS, key, False)
            case {"tensor_constant": {"arg": {"name": str(name)}, "tensor_constant_name": str(key)}}:
                named[name] = (_CONSTANTS, key, False)
            case _:
                raise ValueError("an input")
    calls = tuple(_call(node, graph) for node in graph["nodes"])
    outputs = tuple(
        spec["user_output"]["arg"]["as_tensor"]["name"] for spec in signature["output_specs"] if "user_output" in spec
    )
    tensors = {
        group: read_tensors(
            {name: stored[group][name][0] for own, name, _ in named.values() if own == group},
            ZipStorages(archive),
            archive.where,
        )
        for group in stored
    }
    constants = {
        value: Constant(name, tensors[group][name], parameter and stored[group][name][1], parameter)
        for value, (group, name, parameter) in named.items()
    }
    return Program(inputs, constants, calls, outputs)


def _call(node: Any, graph: Any) -> Call:  # noqa: ANN401
    outputs = tuple(name for output in node["outputs"] for name in _output_names(output))
    extents = _extents(graph, outputs[0]) if outputs else None
    arguments = {str(entry["name"]): _argument(entry["arg"]) for entry in node["inputs"]}
    target = str(node["target"])
    _require_named(target, arguments.keys(), {e["name"] for e in node["inputs"] if e.get("kind") == _POSITIONAL})
    return Call(target.removeprefix("torch.ops."), arguments, outputs, extents)


def _require_named(target: str, given: Collection[str], positional: Collection[str]) -> None:
    """Torch drops arguments of unknown names, and passes positional ones in the order of the schema, gaps closed."""
    packet, _, overload = target.removeprefix("torch.ops.aten.").partition(".")
    schema = getattr(getattr(getattr(torch.ops.aten, packet, None), overload, None), "_schema", None)
    if schema is not None:
        names = [entry.name for entry in schema.arguments]
        if positional != {*names[: len(positional)]} or not {*names} >= {*given}:
            raise ValueError("arguments")


def _output_names(output: Any) -> Iterator[str]:  # noqa: ANN401
    match output:
        case {"as_tensor": {"name": str(name)}} | {"as_optional_tensor": {"as_tensor": {"name": str(name)}}}:
            yield name
        case {"as_tensors": list(entries)}:
            yield from (str(entry["name"]) for entry in entries)


def _extents(graph: Any, name: str) -> Extents | None:  # noqa: ANN401
    meta = graph["tensor_values"].get(name)
    if meta is None:
        return None
    return tuple(_whole(entry) if "as_int" in entry else None for entry in meta["sizes"])


def _argument(argument: Any) -> Argument:  # noqa: ANN401
    match argument:
        case {"as_none": _}:
            return None
        case {"as_tensor": {"name": str(name)}} | {"as_optional_tensor": {"as_tensor": {"name": str(name)}}}:
            return Reference(name)
        case {"as_tensors": list(entries)}:
            return [Reference(str(entry["name"])) for entry in entries]
        case {"as_optional_tensors": [{"as_tensor": {"name": str(name)}}]}:
            return [Reference(name)]
        case {"as_int": int(value)} | {"as_float": int(value) | float(value)} | {"as_bool": bool(value)}:
            return value
        case {"as_string": str(text)}:
            return text
        case {"as_ints": list(values)} if all(isinstance(value, int) for value in values):
            return list(values)
        case {"as_scalar_type": int(value)}:
            return str(_TYPES.get(value, "another type"))
    return Opaque()
