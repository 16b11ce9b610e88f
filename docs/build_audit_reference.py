"""Write docs/reference/audit-file.md from the published schema: python docs/build_audit_reference.py."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent / "reference" / "audit-file.md"
SCHEMA = Path(__file__).parents[1] / "certify" / "audits" / "schema" / "certify.audit-1.schema.json"
HEADER = """# Audit file: `certify.audit/1`

Tables generated from the schema by `docs/build_audit_reference.py`; do not edit.

A YAML 1.2 file, read as strictly as a [problem file](problem-file.md): duplicate and unknown keys, anchors and tags are
errors, and every error shows the line with a caret. `certify validate audit.yaml` checks it without models and data.

Editors complete and check it with the JSON Schema in the package, `certify/audits/schema/certify.audit-1.schema.json`
([here](../../certify/audits/schema/certify.audit-1.schema.json); that of problem files is
[beside it](../../certify/audits/schema/certify.problem-1.schema.json)). For editors with the YAML language server, put
`# yaml-language-server: $schema=PATH-OR-URL` in the first line.

`${NAME}` is replaced by the environment variable, `${matrix.AXIS}` by the value of the axis, in values and not in keys.
Relative paths are relative to the audit file. An item's name is its path, `name`, or for a glob `name/path`, with
`[axis=value,…]` after it where there is a matrix; no two items may have the same one.
"""
SECTIONS = (
    ("The file", None),
    ("Entries of `models`, and `defaults`", "Entry"),
    ("`tolerance`", "ToleranceChange"),
    ("`budget`", "BudgetChange"),
    ("`limits`", "Limits"),
)
FOOTER = """
`defaults` has the keys of an entry but `path` and `name`. An entry's mappings lie on those of the defaults key by key;
`penalty`, `matrix` and `exclude` are replaced as a whole, and anything else too. `problem` has the keys of a
[problem file](problem-file.md).
"""


def audit_reference() -> str:
    """The page."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    tables = [
        f"\n## {title}\n\n" + _table(schema if name is None else schema["$defs"][name]) for title, name in SECTIONS
    ]
    return HEADER + "".join(tables) + FOOTER


def _table(section: Mapping[str, Any]) -> str:
    rows = [
        f"| `{name}` | {_kind(value)} | {_sentence(value.get('description', ''))} |"
        for name, value in section["properties"].items()
    ]
    return "\n".join(["| key | value | meaning |", "|---|---|---|", *rows]) + "\n"


def _kind(value: Mapping[str, Any]) -> str:
    """The kind of a value in a few words."""
    options = [option for option in value.get("anyOf", [value]) if "pattern" not in option]
    return " or ".join(_kind_of(option) for option in options)


def _kind_of(value: Mapping[str, Any]) -> str:
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return ", ".join(f"`{choice}`" for choice in value["enum"])
    if "$ref" in value or value.get("type") == "object":
        return "mapping"
    limits = {"exclusiveMinimum": "above", "minimum": "at least"}
    bounds = [f"{words} {value[key]:g}" for key, words in limits.items() if key in value]
    names = {"array": "list", "string": "text"}
    return " ".join([names.get(value["type"], value["type"]), *bounds])


def _sentence(text: str) -> str:
    return text.rstrip(".").replace("|", "\\\\|")


if __name__ == "__main__":
    TARGET.write_text(audit_reference(), encoding="utf-8")
