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
        found = {key: meta for group in ("weights", "constants") for key, meta in _stored(archive, root, group, name)}
        tensors = {key: _stored_tensor(meta, entry, key, where) for key, (meta, entry) in found.items()}
        without = frozenset(key for key, (meta, _) in found.items() if meta.get("requires_grad") is False)
        return _program(content["graph_module"], tensors, without, archive)
    except _MISSHAPEN as error:
        raise RefusedError(
            f"{where}: corrupt: its program does not follow torch's schema ({type(error).__name__})",
            code="corrupt-file",
        ) from error


def _program_entry(archive: Archive) -> tuple[str, str]:
    found = [
        (name.partition(_PROGRAMS)[0], name.rpartition("/")[2].removesuffix(".json"))
        for name in archive.members
        if name.endswith(".json") and name.split("/")[-2:-1] == ["models"] and name.count("/") <= 2
    ]
    if len(found) > 1:
        raise UnsupportedError(f"{archive.where}: holds {len(found)} programs; save one", "unsupported-architecture")
    if not found:
        raise RefusedError(
            f"{archive.where}: a .pt2 file without a program in models/, as torch wrote before 2.9, or not from "
            "torch.export.save; export and save the model again",
            code="corrupt-file",
        )
    return found[0]


def _require_schema(content: Any, where: str) -> None:  # noqa: ANN401
    major, minor = (_number(content["schema_version"][part]) for part in ("major", "minor"))
    if major != SCHEMA_MAJOR:
        age = "newer" if major > SCHEMA_MAJOR else "older"
        raise RefusedError(
            f"{where}: follows version {major}.{minor} of torch's export schema, {age} than the {SCHEMA_MAJOR} that "
            "certify reads; save it with a torch that certify supports, or upgrade certify",
            code="unsupported-schema",
        )


def _stored(archive: Archive, root: str, group: str, name: str) -> Iterator[tuple[str, tuple[Any, str]]]:
    """What is said of each tensor of a group, and the entry that holds it."""
    folder = f"{root}data/{group}/"
    entry = f"{folder}{name}_{group}_config.json"
    if entry not in archive.members:
        return
    config = parse_json(archive.document(entry), archive.where)["config"]
    require_plain_names(config, archive.where)
    for key, meta in config.items():
        if meta["use_pickle"] or "tensor_meta" not in meta or meta["tensor_meta"] is None:
            raise unfit_weight("pickled, not stored as plain values", key, archive.where)
        yield key, (meta["tensor_meta"], f"{folder}{meta['path_name']}")


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
    stored: Mapping[str, StoredTensor],
    without_gradient: frozenset[str],
    archive: Archive,
) -> Program:
    graph, signature = module["graph"], module["signature"]
    inputs: dict[str, Extents] = {}
    # Name of each constant, and whether it is a parameter, by the name of its value.
    named: dict[str, tuple[str, bool]] = {}
    for spec in signature["input_specs"]:
        match spec:
            case {"user_input": {"arg": {"as_tensor": {"name": str(name)}}}}:
                inputs[name] = _extents(graph, name) or ()
            case {"user_input": {"arg": _}}:
                # A number that the model was exported with is written into the graph.
                continue
            case {"parameter": {"arg": {"name": str(name)}, "parameter_name": str(key)}}:
                named[name] = (key, True)
            case {"buffer": {"arg": {"name": str(name)}, "buffer_name": str(key)}}:
                named[name] = (key, False)
            case {"tensor_constant": {"arg": {"name": str(name)}, "tensor_constant_name": str(key)}}:
                named[name] = (key, False)
            case _:
                raise ValueError("an input")
    calls = tuple(_call(node, graph) for node in graph["nodes"])
    outputs = tuple(
        spec["user_output"]["arg"]["as_tensor"]["name"] for spec in signature["output_specs"] if "user_output" in spec
    )
    tensors = read_tensors({name: stored[name] for name, _ in named.values()}, ZipStorages(archive), archive.where)
    constants = {
        value: Constant(name, tensors[name], parameter and name not in without_gradient, parameter)
        for value, (name, parameter) in named.items()
    }
    return Program(inputs, constants, calls, outputs)


def _call(node: Any, graph: Any) -> Call:  # noqa: ANN401
    outputs = tuple(name for output in node["outputs"] for name in _output_names(output))
    extents = _extents(graph, outputs[0]) if outputs else None
    arguments = {str(entry["name"]): _argument(entry["arg"]) for entry in node["inputs"]}
    return Call(str(node["target"]).removeprefix("torch.ops."), arguments, outputs, extents)


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
        case {"as_int": int(value)} | {"as_float": int(value) | float(value)} | {"as_bool": bool(value)}:
            return value
        case {"as_string": str(text)}:
            return text
        case {"as_ints": list(values)} if all(isinstance(value, int) for value in values):
            return list(values)
        case {"as_scalar_type": int(value)}:
            return str(_TYPES.get(value, "another type"))
    return Opaque()
