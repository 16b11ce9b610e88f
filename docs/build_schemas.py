"""JSON Schemas of problem and audit files, so that editors complete and check them, generated from the models.

Writes them into the package: python docs/build_schemas.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from certify.audits.audit_file import AuditFile, Entry
from certify.models.spec.problem_file import ProblemSpec

DIALECT = "https://json-schema.org/draft/2020-12/schema"
# A value that `${...}` gives.
PLACEHOLDER = {"type": "string", "pattern": r"^\$\{[^{}$]+\}$", "description": "${NAME} or ${matrix.AXIS}"}
_ENTRY = re.compile(r"^    (\w+): (.*?)(?=^    \w+: |\Z)", re.MULTILINE | re.DOTALL)

Schema = dict[str, Any]


def problem_schema() -> Schema:
    """The schema of `certify.problem/1`."""
    return {"$schema": DIALECT, "title": "certify.problem/1", **_described(ProblemSpec)}


def audit_schema() -> Schema:
    """The schema of `certify.audit/1`, with that of problems in it."""
    problem, entry, top = _described(ProblemSpec), _described(Entry), _described(AuditFile)
    # Within an audit the model and the schema go without saying, and defaults and entry share the rest.
    inline = {**problem, "properties": {**problem["properties"], "model": {"$ref": "#/$defs/ProblemModel"}}}
    definitions = inline.pop("$defs")
    inline.pop("required")
    definitions["ProblemModel"] = {key: v for key, v in definitions.pop("ModelSpec").items() if key != "required"}
    inline["properties"]["schema"] = {"const": "certify.problem/1"}
    shared = {name: value for name, value in entry["properties"].items() if name not in ("path", "name")}
    shared["problem"] = {
        "description": shared["problem"]["description"],
        "anyOf": [{"type": "string", "minLength": 1}, {"$ref": "#/$defs/Problem"}],
    }
    definitions |= entry.pop("$defs") | {
        "Problem": inline,
        "Defaults": {"type": "object", "additionalProperties": False, "properties": shared},
        "Entry": {**entry, "properties": {**entry["properties"], **shared}},
    }
    # An entry's keys may be in the defaults, all but the path.
    definitions = {name: _with_placeholders(value) for name, value in definitions.items()}
    properties = {
        **top["properties"],
        "defaults": {"description": "Keys of an entry, for all of them.", "$ref": "#/$defs/Defaults"},
        "models": {"description": "The entries.", "type": "array", "minItems": 1, "items": {"$ref": "#/$defs/Entry"}},
    }
    return {"$schema": DIALECT, "title": "certify.audit/1", **top, "properties": properties, "$defs": definitions}


def _described(model: type[BaseModel]) -> Schema:
    """The schema of a model: documented from the docstrings, without titles, and without null for what is left out."""
    schema = model.model_json_schema(by_alias=True)
    cleaned: Schema = _cleaned({**schema, "$defs": dict(schema.get("$defs", {}))})
    return cleaned


def _cleaned(node: Any) -> Any:  # noqa: ANN401
    if isinstance(node, list):
        return [_cleaned(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    found = {key: _cleaned(value) for key, value in node.items() if not _is_noise(key, value, node)}
    options = found.get("anyOf")
    if isinstance(options, list) and {"type": "null"} in options:
        rest = [option for option in options if option != {"type": "null"}]
        found.pop("anyOf")
        found |= rest[0] if len(rest) == 1 else {"anyOf": rest}
    return _documented(found) if "properties" in found and "description" in found else found


def _is_noise(key: str, value: object, node: Mapping[str, Any]) -> bool:
    in_schema = any(name in node for name in ("type", "anyOf", "$ref", "const", "default"))
    nothing = key == "default" and (value is None or isinstance(value, dict))
    return (key == "title" and isinstance(value, str)) or (in_schema and (key == "format" or nothing))


def _documented(schema: Schema) -> Schema:
    """Moves what a docstring says of attributes to the properties."""
    text, _, attributes = schema["description"].partition("Attributes:\n")
    about = {name: " ".join(words.split()) for name, words in _ENTRY.findall(attributes)}
    about["schema"] = about.pop("version", "")
    properties = {
        name: ({"description": about[name]} if about.get(name) else {}) | value
        for name, value in schema["properties"].items()
    }
    return {**schema, "description": text.strip(), "properties": properties}


def _with_placeholders(node: Any) -> Any:  # noqa: ANN401
    """Numbers, choices and truth values may also come from `${...}`."""
    if isinstance(node, list):
        return [_with_placeholders(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    if {"type": "string"} in node.get("anyOf", []):
        # Any text is taken as it is.
        return node
    found = {key: value if key == "enum" else _with_placeholders(value) for key, value in node.items()}
    if "enum" in found or found.get("type") in ("number", "integer", "boolean"):
        description = {"description": found.pop("description")} if "description" in found else {}
        return {**description, "anyOf": [found, PLACEHOLDER]}
    return found


FOLDER = Path(__file__).parents[1] / "certify" / "audits" / "schema"
SCHEMAS = {"certify.problem-1.schema.json": problem_schema, "certify.audit-1.schema.json": audit_schema}


def text_of(schema: dict[str, Any]) -> str:
    """The file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, build in SCHEMAS.items():
        (FOLDER / name).write_text(text_of(build()), encoding="utf-8")
