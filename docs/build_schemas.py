"""Write the JSON Schemas of problem and audit files into the package: python docs/build_schemas.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from certify.audits.schemas import audit_schema, problem_schema

FOLDER = Path(__file__).parents[1] / "certify" / "audits" / "schema"
SCHEMAS = {"certify.problem-1.schema.json": problem_schema, "certify.audit-1.schema.json": audit_schema}


def text_of(schema: dict[str, Any]) -> str:
    """The file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, build in SCHEMAS.items():
        (FOLDER / name).write_text(text_of(build()), encoding="utf-8")
