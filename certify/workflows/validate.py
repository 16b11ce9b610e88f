"""`certify validate`: whether a YAML file says what it should, without reading the models and data that it names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from certify.audits.audit_file import SCHEMA as AUDIT_SCHEMA
from certify.audits.plan import load_plan
from certify.errors import UsageError
from certify.models.spec.problem_file import SCHEMA as PROBLEM_SCHEMA
from certify.models.spec.problem_file import load_problem_file
from certify.models.spec.yaml_document import load_yaml

LOADERS: dict[str, Callable[[Path], object]] = {
    PROBLEM_SCHEMA: load_problem_file,
    # Globs need not match anything here.
    AUDIT_SCHEMA: lambda path: load_plan(path, allow_empty=True),
}


def validate(path: str | Path) -> str:
    """Check a problem file or an audit file against the schema that its key `schema` names, and return that name.

    Raises:
        UsageError: the file is missing, not YAML, of an unknown schema, or breaks it; with line and column.
        UnsupportedError: the problem it describes has no certificate yet.
    """
    content = load_yaml(Path(path), "file").content
    schema = content.get("schema") if isinstance(content, Mapping) else None
    if not isinstance(schema, str) or schema not in LOADERS:
        found = "has no 'schema'" if schema is None else f"has the unknown schema {schema!r}"
        raise UsageError(f"{path}: {found}; known: {', '.join(LOADERS)}", code="problem-file")
    LOADERS[schema](Path(path))
    return schema
