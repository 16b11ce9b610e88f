"""What an audit knows from before, and what it keeps: records by key, certificates, digests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from certify.audits.cache import CachePlace
from certify.audits.digests import DigestIndex, absolute
from certify.audits.keys import asked_digest, data_files, result_key
from certify.audits.plan import PlannedItem
from certify.audits.results_file import Record, ResultsFile
from certify.certificates.audit_result import Origin
from certify.models.spec.problem_file import ProblemSpec
from certify.reports.audit_report import is_whole


@final
@dataclass(frozen=True, slots=True)
class Prepared:
    """A problem that has been read; `inputs` are absolute path and SHA-256 of every file that it was made from.

    `key` is the digest of all that its result depends on, `asked` that of what the plan knew, `data_sha256` that of
    the data, as a result states it.
    """

    spec: ProblemSpec
    key: str
    model_sha256: str
    data_sha256: str
    asked: str
    inputs: tuple[tuple[str, str], ...]


@final
class Memory:
    """Answers from earlier audits and keeps new results."""

    def __init__(
        self,
        place: CachePlace,
        results: ResultsFile,
        digests: DigestIndex,
        resumed: Mapping[str, Record],
        *,
        use_cache: bool,
    ) -> None:
        """Answers from what an interrupted audit had finished, by key, and with `use_cache` from all earlier audits."""
        self._place, self._results, self._digests = place, results, digests
        self._resumed, self._use_cache = resumed, use_cache

    def prepared(self, item: PlannedItem, seed: int, device: str) -> Prepared:
        """An item's problem, and the digests of its files from their content.

        Raises:
            UsageError: a file is missing, unreadable, or no problem file.
            RefusedError: a file is over the size limit.
            UnsupportedError: a penalty that has no certificate.
        """
        read, kind = self._digests.read, device.partition(":")[0]
        # Digested first: were it changed before it is parsed, the next plan would find another digest.
        problem = {item.problem: read(item.problem, "problem file")} if isinstance(item.problem, Path) else {}
        spec = item.spec()
        key = result_key(spec, read, seed, kind) or ""
        data = {path: read(path, "data file") for path in data_files(spec).values()}
        model = {spec.model.path: read(spec.model.path, "model file")}
        # The digest of several files is that of their digests, one per line.
        found = list(data.values())
        joined = found[0] if len(found) == 1 else hashlib.sha256("".join(d + "\n" for d in found).encode()).hexdigest()
        inputs = tuple((absolute(path), digest) for path, digest in (problem | model | data).items())
        return Prepared(spec, key, model[spec.model.path], joined, asked_digest(item, seed, kind), inputs)

    def answer(self, key: str) -> tuple[Record, Origin] | None:
        """What is known of a key; nothing that is not whole, or claims a proof and has no certificate to verify."""
        if key in self._resumed and _is_backed(self._resumed[key]):
            return self._resumed[key], "resumed"
        found = self._results.verdict_of(key) if self._use_cache else None
        return (found, "cache") if found is not None and _is_backed(found) else None

    def certificate_path(self, record: Record) -> str | None:
        """Where the certificate of a record is; None if it has none."""
        return None if record.certificate is None else str(self._place.certificate(record.certificate))

    def keep(
        self, name: str, prepared: Prepared, result: Mapping[str, Any], certificate: bytes | None, seconds: float
    ) -> Mapping[str, Any] | None:
        """Keep a new result with its certificate.

        Returns:
            The result with the path of the certificate; None, and nothing is kept, if it is about other files than
            those that were hashed before: they were changed meanwhile.
        """
        found = (result["model"].get("sha256"), result.get("data", {}).get("sha256"))
        if result["verdict"] is not None and found != (prepared.model_sha256, prepared.data_sha256):
            return None
        digest = None
        if certificate is not None:
            digest = self._place.keep(certificate)
            result = {**result, "certificate": str(self._place.certificate(digest))}
        if result["model"].get("digest_complete", True):
            # Otherwise the key does not say everything that the result depends on.
            self._results.add(Record(name, prepared.key, seconds, digest, result, prepared.asked, prepared.inputs))
        return result


def _is_backed(record: Record) -> bool:
    """Whether a record is whole, and has the certificate that its claim rests on or claims nothing proven."""
    claims = record.result.get("verdict") == "certified" or record.result.get("proof", "none") != "none"
    return is_whole(record.result) and (record.certificate is not None or not claims)
