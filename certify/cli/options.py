"""The flags that commands share; each has an environment variable CERTIFY_… of the same name."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import reduce
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

UNITS = {"": 1.0, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
BIASES = ["penalized", "free", "absent"]
LAYERS_HELP = (
    "What a file of weights alone computes: linear:fc1,relu,linear:fc2, or factorization:U,V "
    "(with row_bias=, column_bias=, global_bias=, scale=), or cp:A,B,C."
)
OUTPUT_HELP = (
    "Also write a report; repeatable. FORMAT: json, jsonl, markdown, junit, sarif, github, html, prometheus, csv. "
    "PATH - is stdout, in place of the text."
)


class Duration(click.ParamType[float]):
    """A duration such as `30s`, `10m` or plain seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401
        """Seconds, positive."""
        match = re.fullmatch(r"([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]+)?)\s*(ms|s|m|h|)", str(value))
        if match is None or float(match[1]) <= 0:
            self.fail(f"{value!r} is not a duration such as 30s or 10m", param, ctx)
        return float(match[1]) * UNITS[match[2]]


class Layers(click.ParamType[tuple[Any, ...]]):
    """Layers of a file that holds weights alone, such as `linear:fc1,relu,linear:fc2`."""

    name = "layers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:  # noqa: ANN401
        """Entries as problem files have them."""
        from certify.models.spec.layer_list import layers_of_text

        try:
            return value if isinstance(value, tuple) else layers_of_text(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def option(*names: str, **settings: Any) -> Callable[[Command], Command]:  # noqa: ANN401
    """A click option that can also be set by CERTIFY_<LONG_NAME>."""
    long = next(name for name in names if name.startswith("--")).split("/")[0]
    variable = "CERTIFY_" + long[2:].upper().replace("-", "_")
    return click.option(*names, envvar=variable, show_envvar=False, **settings)


def format_option(*formats: str) -> Callable[[Command], Command]:
    """The option `--format`, the first one being the default."""
    return option("--format", type=click.Choice(formats), default=formats[0], show_default=True, help="On stdout.")


def combined(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Apply several decorators, the first one outermost."""
    return lambda command: reduce(lambda found, decorator: decorator(found), reversed(decorators), command)


problem_flags = combined(
    option(
        "--problem",
        "problem_file",
        type=click.Path(),
        help="Problem file; otherwise MODEL's own .problem.yaml beside it.",
    ),
    option("--layers", type=Layers(), metavar="LIST", help=LAYERS_HELP),
    option("--data", type=click.Path(), help="Data file: .npz, .npy, .safetensors or .csv."),
    option("--inputs", help="Name of the inputs in the data file."),
    option("--targets", help="Name of the targets in the data file."),
    option("--loss", help="mse, cross-entropy, binary-cross-entropy, soft-margin, huber, squared-hinge, poisson."),
    option("--reduction", type=click.Choice(["mean", "sum"]), help="As in torch; default mean."),
    option("--scale", type=float, help="Factor on the loss; 0.5 with mse is the half square."),
    option("--unobserved-weight", type=float, help="Weight of entries that a factorization has no data of; with mse."),
    option("--weight-decay", type=float, help="Coupled weight decay wd of SGD or Adam: (wd/2)·Σ‖p‖²."),
    option(
        "--penalty",
        "matched",
        type=click.Choice(["product_of_norms"]),
        callback=lambda _context, _option, value: value and True,
        help="In place of weight decay, the product of norms of the subnetworks' own degree.",
    ),
    option("--hidden-bias", type=click.Choice(BIASES), help="How the hidden bias is treated."),
    option("--output-bias", type=click.Choice(BIASES), help="How the output bias is treated."),
    option("--scope", type=click.Choice(["model", "head"]), help="head: the last weight layers, given their features."),
    option("--relative-gap", type=float, help="Tolerance: gap / |objective|; default 1e-3."),
    option("--absolute-gap", type=float, help="Tolerance in units of the objective; default 0."),
    option(
        "--budget",
        "budget_seconds",
        type=Duration(),
        metavar="TIME",
        help="Wall clock budget per model, e.g. 30s or 10m.",
    ),
)

long_proof_flags = combined(
    option(
        "--checkpoint",
        metavar="PATH",
        type=click.Path(),
        help="Keep the state of a long proof here, and go on from it.",
    ),
    option(
        "--cluster",
        metavar="ADDRESS",
        help="Share long proofs with the workers of this Dask scheduler or scheduler file.",
    ),
)

run_flags = combined(
    option("--device", default="auto", show_default=True, metavar="DEVICE", help="auto, cpu, cuda or cuda:N."),
    option("--threads", type=click.IntRange(1, 4096), help="CPU threads; default: as many as pay off."),
    option("--seed", type=int, default=0, show_default=True, help="Seed of all randomness."),
    option(
        "--failure-probability",
        type=click.FloatRange(0, 0.01),
        default=1e-12,
        show_default=True,
        help="Largest allowed of a randomized proof, used where no other fits the budget; 0 for rigorous proofs only.",
    ),
)

report_flags = combined(
    format_option("text", "json", "jsonl", "markdown"),
    option("--output", "outputs", multiple=True, metavar="FORMAT=PATH", help=OUTPUT_HELP),
    option("--quiet", "-q", is_flag=True, help="Only the verdict line of each model, and no progress."),
    option("--verbose", "-v", is_flag=True, help="More rows, and more progress."),
    option("--no-color", is_flag=True, help="Plain text; so does the variable NO_COLOR."),
)
