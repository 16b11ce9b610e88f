"""skops files of scikit-learn's decompositions: settings and arrays are read as data, and nothing is built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from certify.errors import RefusedError
from certify.models.readers.json_document import parse_json
from certify.models.readers.model_reader import open_model
from certify.models.readers.skops_file import MISSHAPEN, SCHEMA, array_of_node, fields_of, setting_of_node

MODULE = "sklearn.decomposition."
# Arrays that a decomposition needs to make codes.
_ARRAYS = ("components_", "mean_")


@final
@dataclass(frozen=True, slots=True)
class DecompositionFile:
    """What a file holds of a decomposition.

    Attributes:
        kind: name of the class.
        settings: what it was made with, and numbers that the fit left, by name.
        arrays: that the fit left, by name.
        sha256: digest of the file.
    """

    kind: str
    settings: Mapping[str, Any]
    arrays: Mapping[str, Any]
    sha256: str


def read_decomposition(path: Path) -> DecompositionFile | None:
    """The decomposition that a skops file holds; None where it is another file.

    Raises:
        UsageError: missing or unreadable.
        RefusedError: damaged, or of another version of the format.
    """
    if path.suffix != ".skops":
        return None
    with open_model(path) as opened:
        if SCHEMA not in opened.members:
            return None
        archive = opened.archive
        schema = parse_json(archive.document(SCHEMA), archive.where)
        try:
            if not str(schema["__module__"]).startswith(MODULE) or schema["__loader__"] != "ObjectNode":
                return None
            fields = fields_of(schema, archive.where, ())
            settings = {name: setting_of_node(node, archive.where) for name, node in fields.items()}
            arrays = {name: array_of_node(fields[name], name, archive) for name in _ARRAYS if name in fields}
        except MISSHAPEN as error:
            raise RefusedError(
                f"{archive.where}: corrupt: its schema is not that of skops ({type(error).__name__})",
                code="corrupt-file",
            ) from error
        known = {name: value for name, value in settings.items() if value is not None}
        return DecompositionFile(str(schema["__class__"]), known, arrays, opened.file.sha256)
