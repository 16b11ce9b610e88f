"""A network back to the format that its model came in."""

from certify.models.writers.grown_model import require_describable, write_problem_file
from certify.models.writers.network_file import write_network
from certify.models.writers.network_parameters import network_parameters
from certify.models.writers.output_format import output_format, output_notes

__all__ = [
    "network_parameters",
    "output_format",
    "output_notes",
    "require_describable",
    "write_network",
    "write_problem_file",
]
