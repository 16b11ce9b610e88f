"""A network back to the format that its model came in."""

from certify.models.writers.grown_model import require_describable, write_problem_file
from certify.models.writers.state_dict import ensure_writable, network_parameters, write_network

__all__ = ["ensure_writable", "network_parameters", "require_describable", "write_network", "write_problem_file"]
