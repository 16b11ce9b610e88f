"""The cache of an audit: the results file, the certificates that its verdicts rest on, and the digests of files."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import final

from certify.errors import UsageError
from certify.whole_file import require_no_link, write_whole

FOLDER = ".certify_cache"
RESULTS = "results.jsonl"


@final
@dataclass(frozen=True, slots=True)
class CachePlace:
    """Where the cache is: the results file, a folder of certificates named by their SHA-256, and digests of files."""

    results: Path
    certificates: Path
    digests: Path

    @classmethod
    def of(cls, chosen: str | None, audit: Path) -> CachePlace:
        """The place that was chosen, a folder or a `.jsonl` file; by default a folder beside the audit file."""
        place = Path(chosen) if chosen else audit.parent / FOLDER
        if place.suffix == ".jsonl":
            return cls(place, place.with_suffix(".certificates"), place.with_suffix(".digests.json"))
        return cls(place / RESULTS, place / "certificates", place / "digests.json")

    def prepare(self) -> None:
        """Make the folders, and keep a default one out of version control.

        Raises:
            UsageError: they cannot be made.
        """
        folder = self.results.parent
        for place in (*((folder,) if folder.name == FOLDER else ()), self.certificates, self.results, self.digests):
            require_no_link(place)
        try:
            self.certificates.mkdir(parents=True, exist_ok=True)
            if folder.name == FOLDER:
                with contextlib.suppress(FileExistsError), (folder / ".gitignore").open("x", encoding="utf-8") as file:
                    file.write("*\n")
        except OSError as error:
            raise UsageError(
                f"{self.results.parent}: cannot keep the cache here: {error.strerror}; choose another with --cache",
                code="unwritable",
            ) from error

    def certificate(self, digest: str) -> Path:
        """Where a certificate is kept."""
        return self.certificates / f"{digest}.cert"

    def keep(self, data: bytes) -> str:
        """Keep a certificate; returns its SHA-256."""
        digest = hashlib.sha256(data).hexdigest()
        if not self.certificate(digest).exists():
            write_whole(self.certificate(digest), data)
        return digest
