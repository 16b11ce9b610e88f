"""`certify inspect MODEL`: layers, degrees, family, and what stands in the way; needs no data."""

from __future__ import annotations

import click

from certify.cli.options import format_option, option
from certify.errors import ExitCode, UsageError
from certify.reports.terminal import say


@click.command("inspect", short_help="Layers, degree of homogeneity, subnetworks, and what could be certified.")
@click.argument("model", type=click.Path())
@option("--problem", type=click.Path(), help="Problem file with `layers:`; otherwise the one beside MODEL.")
@option("--penalty", type=click.Choice(["product_of_norms"]), help="The penalty in place of weight decay.")
@format_option("text", "json")
@option("--no-color", is_flag=True, help="Plain text.")
@click.pass_context
def inspect_command(
    ctx: click.Context, model: str, problem: str | None, penalty: str | None, format: str, no_color: bool
) -> None:
    """Show how certify reads MODEL; nothing in the file is run, and no data are needed.

    Every layer is shown with its degree of homogeneity: in its input, and in all parameters up to it.
    """
    from pathlib import Path

    from certify.bounds.costs import expected_bounds
    from certify.models.inspect import inspect_model
    from certify.models.spec.problem_file import find_problem_file, load_problem_file
    from certify.problem import FACTORIZATIONS, KINDS, Deep, Kind, Multilinear, PolarForm
    from certify.problem.kinds import Tied
    from certify.reports.inspection import inspection_object, print_inspection

    if not Path(model).is_file():
        raise UsageError(f"{model}: no such file", code="missing-file")
    path = problem or find_problem_file(model)
    spec = load_problem_file(path) if path else None
    layers, weight_decay = (spec.model.layers, spec.penalty.weight_decay) if spec else (None, None)
    matched = bool(penalty or (spec and (spec.penalty.product_of_norms or spec.penalty.matched)))
    found = inspect_model(model, layers, weight_decay=weight_decay, matched=matched)
    kinds: tuple[Kind | type[Kind], ...] = (*KINDS, Deep, Tied, *FACTORIZATIONS.values())
    forms = {kind.name: kind.polar for kind in kinds}
    served = [row for row in found.subnetworks if found.family and row.kind is not None]
    alike: dict[tuple[type[PolarForm], tuple[int, int]], list[str]] = {}
    for row in served:
        alike.setdefault((forms[str(row.kind)], (row.inputs, row.outputs)), []).append(row.family)
    bounds = tuple(
        bound
        for (form, sizes), families in alike.items()
        for bound in expected_bounds(form, tuple(dict.fromkeys(families)), sizes, alone=len(served) == 1)
        # A matrix has one bound, and tensors have the others.
        if form is not Multilinear or (bound.method == "spectral") == (families[0] == FACTORIZATIONS[2].name)
    )
    if format == "json":
        from certify.reports.result_json import to_json

        say(to_json(inspection_object(found, bounds)))
    else:
        print_inspection(found, bounds, color=not no_color)
    ctx.exit(int(ExitCode.UNSUPPORTED if found.problems else ExitCode.OK))
