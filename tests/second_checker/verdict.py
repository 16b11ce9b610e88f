"""The whole check."""

import hashlib

from flint import ctx

from .container import Shapes, canonical, read
from .dual import dual_point, dual_value, objective_of
from .exact import inner, norms_above, rational
from .losses import LOSSES, ball, items
from .proofs import cones, factors, majorants, norms, products, signs, unfoldings
from .proofs.task import Task
from .rejection import AFFORDABLE, Purse, Rejected, require
from .schema import check_schema, number
from .statement import statement_of

BITS = 1000
# For each kind: the activations that it serves, and the proof.
PROOFS = {
    "zero": ("none other kink square tied entries", norms.zero),
    "spectral": ("none entries", norms.spectral),
    "randomized": ("none entries", norms.randomized),
    "vertices": ("none other", factors.vertices),
    "semidefinite": ("none other", factors.semidefinite),
    "eigenvalue": ("tied", norms.eigenvalue),
    "quadratic-form": ("square", norms.quadratic_form),
    "norm-products": ("kink", norms.norm_products),
    "sorting": ("kink", norms.sorting),
    "cone-tree": ("kink", cones.cone_tree),
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
    given = rational(shapes.take("A", *problem.targets.shape))
    upper, lower = number(header["claim"]["upper"]), number(header["claim"]["lower"])
    scale, point = number(header["dual"]["scale"]), dual_point(name, given, problem)
    require(scale >= 0, "dual-scale")
    require(not point[problem.weights == 0].any(), "dual-domain")
    with ctx.workprec(BITS):
        objective, value = objective_of(name, problem), dual_value(name, problem, scale * point)
        require(objective <= ball(upper), "objective")
        require(value >= ball(lower), "dual-value")
        require(not objective < value, "objective-below-bound")
    for at, (branch, proof) in enumerate(zip(problem.branches, header["proofs"], strict=True)):
        bound = number(proof["upper"])
        served, prove = PROOFS[proof["kind"]]
        require(branch.kind in served.split(), "proof-kind")
        require(bound >= 0, "polar")
        prove(Task(branch, branch.scores(given), bound, f"P{at}", shapes))
        above = bound + inner(norms_above(branch.scores(point - given)), branch.reach)
        require((scale * above) ** 2 <= branch.square_strength, "polar-scale")
    require(not shapes.left, "shape")
