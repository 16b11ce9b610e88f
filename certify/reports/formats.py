"""The one table of formats that are written to files."""

from __future__ import annotations

from collections.abc import Callable

from certify.reports.report import Report
from certify.reports.result_csv import csv_report
from certify.reports.result_github import github_report
from certify.reports.result_html import html_report
from certify.reports.result_json import json_report, jsonl_report
from certify.reports.result_junit import junit_report
from certify.reports.result_markdown import markdown_report
from certify.reports.result_prometheus import prometheus_report
from certify.reports.result_sarif import sarif_report

FORMATS: dict[str, Callable[[Report], str]] = {
    "json": json_report,
    "jsonl": jsonl_report,
    "markdown": markdown_report,
    "junit": junit_report,
    "sarif": sarif_report,
    "github": github_report,
    "html": html_report,
    "prometheus": prometheus_report,
    "csv": csv_report,
}
