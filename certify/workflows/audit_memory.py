"""What an audit knows from before, and what it keeps: records by key, certificates, digests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from certify.audits.cache import CachePlace
from certify.audits.digests import DigestIndex
from certify.audits.keys import data_files, result_key
from certify.audits.results_file import Record, ResultsFile
from certify.certificates.audit_result import Origin
from certify.models.problem_file import ProblemSpec


@final
@dataclass(frozen=True, slots=True)
class Prepared:
    """A problem that has been read, with the digests of its files.

    Attributes:
        spec: the problem.
        key: what its result depends on.
        model_sha256: of the model file.
        data_sha256: of the data, as a result states it.
    """

    spec: ProblemSpec
    key: str
    model_sha256: str
    data_sha256: str

    @property
    def content(self) -> dict[str, Any]:
        """The problem as plain data."""
        return self.spec.model_dump(mode="json", by_alias=True, exclude_none=True)

    @property
    def data(self) -> list[str]:
        """Paths of the data files."""
        return [str(path) for path in data_files(self.spec).values()]


@final
class Memory:
    """Answers from earlier audits and keeps new results."""

    def __init__(
        self,
        place: CachePlace,
        results: ResultsFile,
        digests: DigestIndex,
        resumed: Mapping[str, Record],
        use_cache: bool,
    ) -> None:
        """Nothing is read yet.

        Args:
            place: of certificates.
            results: the results file.
            digests: of files.
            resumed: what an interrupted audit had finished, by key.
            use_cache: answer from all earlier audits.
        """
        self._place, self._results, self._digests = place, results, digests
        self._resumed, self._use_cache = resumed, use_cache

    def prepared(self, spec: ProblemSpec, seed: int, device: str) -> Prepared:
        """Digests of a problem's files, from their content.

        Raises:
            UsageError: a file is missing or unreadable.
            RefusedError: a file is over the size limit.
        """
        read = self._digests.read
        key = result_key(spec, read, seed, device.partition(":")[0]) or ""
        data = [read(path, "data file") for path in data_files(spec).values()]
        # The digest of several files is that of their digests, one per line.
        joined = data[0] if len(data) == 1 else hashlib.sha256("".join(d + "\n" for d in data).encode()).hexdigest()
        return Prepared(spec, key, read(spec.model.path, "model file"), joined)

    def answer(self, key: str) -> tuple[Record, Origin] | None:
        """What is known of a key."""
        if key in self._resumed:
            return self._resumed[key], "resumed"
        found = self._results.verdict_of(key) if self._use_cache else None
        return None if found is None else (found, "cache")

    def certificate_path(self, record: Record) -> str | None:
        """Where the certificate of a record is; None if it has none."""
        return None if record.certificate is None else str(self._place.certificate(record.certificate))

    def keep(
        self, name: str, prepared: Prepared, result: Mapping[str, Any], certificate: bytes | None, seconds: float
    ) -> Mapping[str, Any]:
        """Keep a new result with its certificate; returns the result with the path of the certificate.

        A result about other files than those that were hashed before (they were changed meanwhile) is not kept.
        """
        digest = None
        if certificate is not None:
            digest = self._place.keep(certificate)
            result = {**result, "certificate": str(self._place.certificate(digest))}
        found = (result["model"].get("sha256"), result.get("data", {}).get("sha256"))
        if result["verdict"] is None or found == (prepared.model_sha256, prepared.data_sha256):
            self._results.add(Record(name, prepared.key, seconds, digest, result))
        return result
