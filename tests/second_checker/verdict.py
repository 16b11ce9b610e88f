"""The whole check."""

import hashlib

from flint import ctx

from .container import Shapes, canonical, read
from .deep import DeepBranch, ends_of
from .dual import dual_point, dual_value, objective_of
from .exact import inner, norms_above, rational
from .lines import slope, sums_at_kinks
from .losses import LOSSES, ball, items
from .proofs import cones, factors, majorants, norms, products, signs, unfoldings
from .proofs.task import Task
from .rejection import AFFORDABLE, Purse, Rejected, require
from .schema import check_schema, number
from .statement import statement_of
from .unobserved import unobserved_of, whole

BITS = 1000
# For each kind: the activations that it serves, and the proof.
PROOFS = {
    "zero": ("none other kink square tied entries deep line", norms.zero),
    "spectral": ("none entries line", norms.spectral),
    "randomized": ("none entries", norms.randomized),
    "vertices": ("none other entries", factors.vertices),
    "semidefinite": ("none other entries", factors.semidefinite),
    "eigenvalue": ("tied", norms.eigenvalue),
    "quadratic-form": ("square", norms.quadratic_form),
    "norm-products": ("kink deep line", norms.norm_products),
    "sorting": ("kink", norms.sorting),
    "cone-tree": ("kink deep", cones.cone_tree),
    "sign-tree": ("kink", signs.sign_tree),
    "scalar-majorant": ("kink", majorants.scalar_majorant),
    "vector-majorant": ("kink", majorants.vector_majorant),
    "doubly-nonnegative": ("kink", products.doubly_nonnegative),
    "unfolding": ("entries", unfoldings.unfolding),
    "symmetric-unfolding": ("entries", unfoldings.symmetric_unfolding),
}


def check(content: bytes, affordable: int = AFFORDABLE) -> str:
    """The rule of sections 1 to 6 that does not hold, "" if all do; TooLarge where that takes more steps than these."""
    Purse.left = affordable
    try:
        require_all(content)
    except Rejected as error:
        return str(error)
    return ""


def require_all(content: bytes) -> None:
    header, arrays = read(content)
    check_schema(header, PROOFS)
    stated, name = header["statement"], header["statement"]["loss"]["name"]
    require(header["sources"]["statement"] == hashlib.sha256(canonical(stated)).hexdigest(), "statement-digest")
    shapes = Shapes([*arrays.items()])
    problem = statement_of(stated, shapes)
    require(stated["features"] in (None, hashlib.sha256(arrays["X"].tobytes()).hexdigest()), "features-digest")
    require(all(map(LOSSES[name].allows, items(name, problem.targets))), "targets")
    lines = [(line["point"], number(line["scale"])) for line in header["dual"].get("lines", [])]
    degrees, count = {branch.degree for branch in problem.branches} or {2}, len(problem.branches)
    require(len(degrees) == 1 and (degrees != {2}) == bool(lines), "degree")
    names = [f"A.{at}" for at in range(len(header["proofs"]) // count)] if lines else ["A"]
    given = [rational(shapes.take(own, *problem.targets.shape)) for own in names]
    rest = unobserved_of(stated, problem, shapes)
    upper, lower = number(header["claim"]["upper"]), number(header["claim"]["lower"])
    lines = lines or [(0, number(header["dual"]["scale"]))]
    require(all(scale >= 0 for _, scale in lines), "dual-scale")
    points = [dual_point(name, own, problem) for own in given]
    require(not any(point[problem.weights == 0].any() for point in points), "dual-domain")
    above = []
    for at, proof in enumerate(header["proofs"]):
        branch, own, point = problem.branches[at % count], given[at // count], points[at // count]
        bound = number(proof["upper"])
        served, prove = PROOFS[proof["kind"]]
        require(branch.kind in served.split(), "proof-kind")
        require(bound >= 0, "polar")
        served_branch, scores = whole(branch, own, rest.point) if rest else (branch, branch.scores(own))
        task = Task(served_branch, scores, bound, f"P{at}", shapes)
        for end in ends_of(task) if isinstance(branch, DeepBranch) and proof["kind"] != "zero" else [task]:
            prove(end)
        above.append(bound + inner(norms_above(branch.scores(point - own)), branch.reach))
    require(not shapes.left, "shape")
    with ctx.workprec(BITS):
        objective = objective_of(name, problem)
        values = [dual_value(name, problem, scale * points[at]) for at, scale in lines]
        if rest:
            objective, values = objective + ball(rest.loss), [values[0] - ball(rest.cost(lines[0][1]))]
        if degrees == {2}:
            for branch, polar in zip(problem.branches, above, strict=True):
                require((lines[0][1] * polar) ** 2 <= branch.square_strength, "polar-scale")
        else:
            slopes = [slope(problem, scale, above[at * count : (at + 1) * count]) for at, scale in lines]
            values = sums_at_kinks(values, slopes, degrees.pop())
        require(objective <= ball(upper), "objective")
        require(all(value >= ball(lower) for value in values), "dual-value")
        require(not all(objective < value for value in values), "objective-below-bound")
