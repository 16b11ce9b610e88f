"""One row per model with all its numbers, for spreadsheets and data frames."""

from __future__ import annotations

import csv
import io

from certify.reports.columns import COLUMNS, Value, columns_of
from certify.reports.report import Report

# Text that starts like this is a formula to a spreadsheet.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv_report(report: Report) -> str:
    """A header and one row per entry; numbers in full precision, empty where there is none."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for entry in report.entries:
        writer.writerow({column: _cell(value) for column, value in columns_of(entry).items()})
    return text.getvalue()


def _cell(value: Value) -> Value:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
