"""Random changes of what a certificate states: layers, policies, offset, blocks outside, whole branches, proofs."""

from __future__ import annotations

import copy

from .edges import changed_number


def integers_of(value):
    """Every place of an integer or of true or false inside a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        if isinstance(inner, int):
            yield value, key
        yield from integers_of(inner)


def change_layers(rng, statement):
    """Another layer in a branch, other integers in one, or another order."""
    if not statement["branches"]:
        return
    layers = statement["branches"][rng.integers(len(statement["branches"]))]["layers"]
    if not layers:
        return
    place = int(rng.integers(len(layers)))
    places = list(integers_of(layers))
    match rng.integers(8):
        case 0:
            del layers[place]
        case 1:
            layers.insert(place, copy.deepcopy(layers[rng.integers(len(layers))]))
        case 2 | 3 | 4 if places:
            holder, key = places[rng.integers(len(places))]
            flips = isinstance(holder[key], bool)
            holder[key] = not holder[key] if flips else max(0, holder[key] + int(rng.choice([-1, 1])))
        case _:
            change_activation(rng, layers)


def change_activation(rng, layers):
    """Another activation, or none, or one where there was none."""
    kinked = [at for at, layer in enumerate(layers) if layer["op"] in ("relu", "abs", "leaky_relu", "square")]
    slope = float(rng.choice([0.0, 0.1, -1.0, 1.0, 1.7, rng.standard_normal()]))
    new = {"op": str(rng.choice(["relu", "abs", "square"]))}
    new = {"op": "leaky_relu", "slope": slope.hex()} if rng.random() < 0.5 else new
    at = kinked[0] if kinked else 1
    layers[at : at + bool(kinked)] = [new] if rng.random() < 0.8 else []


def change_statement(rng, header, arrays):
    """Policies, the offset, the reduction, a block outside, or whole branches with their arrays."""
    statement = header["statement"]
    branches, outside = statement["branches"], statement["outside"]
    if branches and branches[0]["layers"][:1] and branches[0]["layers"][0]["op"] == "entries" and rng.random() < 0.5:
        change_entries(rng, header, arrays)
        return
    match rng.integers(7):
        case 0 if branches:
            branches[rng.integers(len(branches))]["bias"] = str(rng.choice(["absent", "free", "penalized"]))
        case 1:
            statement["offset"] = rng.choice([None, "inputs", "array"])
            statement["offset"] = None if statement["offset"] is None else str(statement["offset"])
            arrays.pop("offset", None)
            if statement["offset"] == "array":
                rows = list(arrays.items())
                at = 2 + ("sample_weights" in arrays) + ("mask" in arrays)
                rows.insert(at, ("offset", rng.standard_normal(arrays["Y"].shape)))
                arrays.clear()
                arrays.update(rows)
        case 2:
            statement["loss"]["reduction"] = str(rng.choice(["mean", "sum"]))
        case 3 if outside:
            block = outside[rng.integers(len(outside))]
            block["decay"] = (0.0).hex() if rng.random() < 0.5 else changed_number(rng, block["decay"])
        case 4 if outside:
            drop_outside(header, arrays, int(rng.integers(len(outside))))
        case 5 if branches:
            gone = int(rng.integers(len(branches)))
            renumber(header, arrays, [at for at in range(len(branches)) if at != gone])
        case _ if branches:
            order = [int(at) for at in rng.integers(len(branches), size=len(branches) + rng.integers(2))]
            renumber(header, arrays, order)


def change_entries(rng, header, arrays):
    """Places, what is counted, the penalty, or the axis of a bias."""
    statement = header["statement"]
    penalty, outside = statement["branches"][0]["penalty"], statement["outside"]
    match rng.integers(5):
        case 0:
            sample, axis = int(rng.integers(len(arrays["X"]))), int(rng.integers(arrays["X"].shape[1]))
            arrays["X"][sample, axis] += rng.choice([-1, 1])
        case 1:
            arrays["X"][:] = rng.permutation(arrays["X"])
        case 2 if "strengths" in penalty:
            names = ["weight-decay", "counted-weight-decay"]
            penalty["name"] = names[penalty["name"] == names[0]]
        case 2 if "norms" in penalty:
            side, names = penalty["norms"][rng.integers(len(penalty["norms"]))], ["l1", "l2", "linf"]
            side["nonnegative"] ^= bool(rng.integers(2))
            order = rng.permutation(3)
            side |= dict(zip(names, [side[names[at]] for at in order], strict=True))
        case 3 if outside:
            block = outside[rng.integers(len(outside))]
            block["features"] = str(rng.choice(["axis-0", "axis-1", "counted-axis-0", "counted-axis-1", "ones"]))
        case _:
            statement["branches"][0]["penalty"] = change_kind(penalty)


def change_kind(penalty):
    """Weight decay in place of a product of norms, or that in its place, or in that of other norms."""
    if "strengths" in penalty:
        return {
            "name": "product-of-norms",
            "strength": penalty["strengths"][0],
            "powers": [1] * len(penalty["strengths"]),
        }
    if "norms" in penalty:
        return {"name": "product-of-norms", "strength": penalty["strength"], "powers": [1] * len(penalty["norms"])}
    return {"name": "weight-decay", "strengths": [penalty["strength"]] * len(penalty["powers"]), "bias": None}


def renumber(header, arrays, order):
    """The branches in another order, some of them twice or not at all, with their weights and proofs."""
    own = {name: values for name, values in arrays.items() if name[0] not in "FP"}
    shared = [name for name in own if name not in ("A",) and name[0] != "C"]
    found = {name: own[name] for name in shared}
    for prefix in "FP":
        for new, old in enumerate(order):
            mark = f"{prefix}{old}."
            picked = {name: values for name, values in arrays.items() if name.startswith(mark)}
            found |= {f"{prefix}{new}.{name.removeprefix(mark)}": values.copy() for name, values in picked.items()}
        if prefix == "F":
            found |= {name: values for name, values in own.items() if name not in shared}
    arrays.clear()
    arrays.update(found)
    header["statement"]["branches"] = [copy.deepcopy(header["statement"]["branches"][old]) for old in order]
    header["proofs"] = [copy.deepcopy(header["proofs"][old]) for old in order]
    rename_parameters(header, arrays)


def drop_outside(header, arrays, place):
    """Without one block outside the branches."""
    del header["statement"]["outside"][place]
    kept = {name: values for name, values in arrays.items() if name != f"C{place}"}
    arrays.clear()
    for name, values in kept.items():
        later = name[0] == "C" and int(name[1:]) > place
        arrays[f"C{int(name[1:]) - 1}" if later else name] = values
    rename_parameters(header, arrays)


def rename_parameters(header, arrays):
    """Sources for exactly the parameters that are there, if there are any."""
    recipes = header["sources"]["parameters"]
    if recipes is not None:
        part = [{"name": "some", "axis": None, "group": 1}]
        header["sources"]["parameters"] = {name: recipes.get(name, part) for name in arrays if name[0] in "FC"}


def swap_proofs(rng, header, arrays):
    """Two branches with each other's proofs."""
    if len(header["proofs"]) < 2:
        return
    one, two = (int(at) for at in rng.choice(len(header["proofs"]), 2, replace=False))
    names = {f"P{one}.": f"P{two}.", f"P{two}.": f"P{one}."}
    proofs = {n: values for n, values in arrays.items() if n[0] == "P"}
    moved = {names[n[:3]] + n[3:] if n[:3] in names else n: values for n, values in proofs.items()}
    kept = {n: values for n, values in arrays.items() if n not in proofs}
    arrays.clear()
    arrays.update(kept | dict(sorted(moved.items(), key=lambda item: int(item[0][1]))))
    header["proofs"][one], header["proofs"][two] = header["proofs"][two], header["proofs"][one]
