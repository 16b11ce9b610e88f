"""The whole check."""

import hashlib

from flint import ctx

from .container import Shapes, canonical, read
from .deep import DeepBranch, ends_of
from .dual import dual_point, dual_value, objective_of
from .exact import inner, norms_above, rational
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
    "zero": ("none other kink square entries deep line", norms.zero),
    "spectral": ("none entries line", norms.spectral),
    "randomized": ("none entries", norms.randomized),
    "vertices": ("none other entries", factors.vertices),
    "semidefinite": ("none other entries", factors.semidefinite),
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
    given = rational(shapes.take("A", *problem.targets.shape))
    rest = unobserved_of(stated, problem, shapes)
    upper, lower = number(header["claim"]["upper"]), number(header["claim"]["lower"])
    scale, point = number(header["dual"]["scale"]), dual_point(name, given, problem)
    require(scale >= 0, "dual-scale")
    require(not point[problem.weights == 0].any(), "dual-domain")
    with ctx.workprec(BITS):
        objective, value = objective_of(name, problem), dual_value(name, problem, scale * point)
        objective, value = (objective + ball(rest.loss), value - ball(rest.cost(scale))) if rest else (objective, value)
        require(objective <= ball(upper), "objective")
        require(value >= ball(lower), "dual-value")
        require(not objective < value, "objective-below-bound")
    for at, (branch, proof) in enumerate(zip(problem.branches, header["proofs"], strict=True)):
        bound = number(proof["upper"])
        served, prove = PROOFS[proof["kind"]]
        require(branch.kind in served.split(), "proof-kind")
        require(bound >= 0, "polar")
        served_branch, scores = whole(branch, given, rest.point) if rest else (branch, branch.scores(given))
        task = Task(served_branch, scores, bound, f"P{at}", shapes)
        for own in ends_of(task) if isinstance(branch, DeepBranch) and proof["kind"] != "zero" else [task]:
            prove(own)
        above = bound + inner(norms_above(branch.scores(point - given)), branch.reach)
        require((scale * above) ** 2 <= branch.square_strength, "polar-scale")
    require(not shapes.left, "shape")
