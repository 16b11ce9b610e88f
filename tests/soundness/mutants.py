"""Random changes of a certificate, and the strongest claim that a checker's own numbers allow it."""

from __future__ import annotations

import copy
import math

import numpy as np

from .edges import EDGES, changed_number
from .layers import number
from .statement_mutants import change_layers, change_statement, swap_proofs

NUMBERS = (("claim", "upper"), ("claim", "lower"), ("dual", "scale"))
# Relative room for the roundings of s U ≤ λ and of a root in λ; a cone tree shows a bound of its own.
ROOM, ROOT_ROOM, TREE_ROOM = 2.0**-50, 2.0**-44, 2.0**-39


def change_array(rng, arrays, name):
    values = arrays[name]
    if values.dtype == np.uint8:
        change_bytes(rng, arrays, name)
        return
    place = tuple(int(rng.integers(extent)) for extent in values.shape)
    match rng.integers(7):
        case 0:
            values[place] = np.nextafter(values[place], rng.choice([-np.inf, np.inf]))
        case 1:
            values[place] *= 1 + rng.choice([-1, 1]) * 10 ** rng.uniform(-16, 0)
        case 2:
            values[place] = rng.choice(EDGES)
        case 3:
            values *= rng.choice([-1.0, 0.0, 0.5, 2.0, 1e-3, 1e3])
        case 4:
            values[:] = rng.permutation(values)
        case 5:
            values += 10 ** rng.uniform(-16, 1) * rng.standard_normal(values.shape)
        case _:
            values.view(np.uint64)[place] ^= np.uint64(1) << np.uint64(rng.integers(64))


def change_bytes(rng, arrays, name):
    """Trees: change, drop, add or swap nodes, or replace them all."""
    values = arrays[name]
    place = int(rng.integers(max(1, len(values))))
    match rng.integers(6):
        case 0 if values.size:
            values.flat[int(rng.integers(values.size))] = rng.integers(256)
        case 1 if len(values):
            arrays[name] = np.delete(values, place, 0)
        case 2 if len(values):
            arrays[name] = np.insert(values, place, values[place], 0)
        case 3:
            values[:] = rng.permutation(values)
        case 4 if name == "splits" and values.any():  # cut a subtree, with its tangents
            start = int(rng.choice(np.flatnonzero(values)))
            balance = np.cumsum(np.where(values[start:] > 0, 1, -1))
            end = start + int(np.flatnonzero(balance == -1)[0]) + 1
            ranks = np.cumsum(values == 0)
            low, high = (int(ranks[start - 1]) if start else 0), int(ranks[end - 1])
            arrays["splits"] = np.concatenate([values[:start], [0], values[end:]]).astype(np.uint8)
            tangents = arrays["tangents"]
            if high <= len(tangents):
                arrays["tangents"] = np.concatenate([tangents[: low + 1], tangents[high:]])
        case _:
            values[:] = values[::-1].copy()


def numbers_of(value):
    """Every place of a number in text inside a value: the container and the key."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        if isinstance(inner, str) and "0x" in inner:
            yield value, key
        yield from numbers_of(inner)


def mutant(rng, header, arrays):
    """One to four changes of a certificate."""
    header = copy.deepcopy(header)
    arrays = {name: values.copy() for name, values in arrays.items()}
    for _ in range(int(rng.choice([1, 1, 2, 4]))):
        match rng.integers(9):
            case 0:
                section, key = NUMBERS[rng.integers(len(NUMBERS))]
                holder = header[section]
                if "lines" in holder:
                    holder = holder["lines"][rng.integers(len(holder["lines"]))]
                holder[key] = changed_number(rng, holder[key])
            case 1 if "lines" in header["dual"] and rng.random() < 0.5:
                change_lines(rng, header["dual"]["lines"])
            case 1 if header["proofs"]:
                proof = header["proofs"][rng.integers(len(header["proofs"]))]
                proof["upper"] = changed_number(rng, proof["upper"])
            case 2:
                stated = {key: value for key, value in header["statement"].items() if key != "tolerance"}
                places = list(numbers_of(stated))
                holder, key = places[rng.integers(len(places))]
                holder[key] = changed_number(rng, holder[key])
            case 3:
                change_layers(rng, header["statement"])
            case 4:
                change_statement(rng, header, arrays)
            case 5:
                swap_proofs(rng, header, arrays)
            case _:
                filled = [name for name, values in arrays.items() if values.size]
                change_array(rng, arrays, rng.choice(filled))
    return header, arrays


def change_lines(rng, lines):
    """A line less, twice, or of another dual point."""
    place = int(rng.integers(len(lines)))
    match rng.integers(3):
        case 0:
            del lines[place]
        case 1:
            lines.append(copy.deepcopy(lines[place]))
        case _:
            lines[place]["point"] = int(rng.integers(1 + max(line["point"] for line in lines)))


def strengths(header):
    """λ of every branch, a little less where it is a root."""
    for branch in header["statement"]["branches"]:
        penalty = branch["penalty"]
        own = penalty.get("strengths") or [penalty["strength"]] * 2
        if len(own) == 1:
            yield number(own[0]) / 2 * (1 - ROOM / 4)
            continue
        first, second = number(own[0]), number(own[1])
        yield first if first == second else math.sqrt(abs(first * second)) * (1 - ROOT_ROOM)


def strongest(header, verdict):
    """The same proofs with the best claim that the checker's own numbers support, or None."""
    if verdict.objective is None or verdict.dual_value is None or verdict.polar_upper is None:
        return None
    if not all(math.isfinite(upper) for upper in verdict.polar_upper):
        return None
    header = copy.deepcopy(header)
    if "lines" in header["dual"]:
        for proof, shown in zip(header["proofs"], verdict.polar_upper, strict=True):
            proof["upper"] = shown.hex()
        header["claim"] |= {"upper": verdict.objective[1].hex(), "lower": verdict.dual_value[0].hex()}
        return header
    scales = []
    for proof, shown, strength in zip(header["proofs"], verdict.polar_upper, strengths(header), strict=True):
        if shown > 0:
            tree = proof["kind"] == "cone-tree"
            proof["upper"] = (shown * (1 + TREE_ROOM / 2) if tree else shown).hex()
            scales.append(strength / shown * (1 - (TREE_ROOM if tree else ROOM)))
    if scales:
        header["dual"]["scale"] = min(scales).hex()
    header["claim"] |= {"upper": verdict.objective[1].hex(), "lower": verdict.dual_value[0].hex()}
    return header


def tightened(header, verdict):
    """A claim that the polar of the branch that limits the scale is smaller by a tenth, with the scale this allows."""
    shown = verdict.polar_upper
    if shown is None or not all(0 <= upper < math.inf for upper in shown) or not any(shown):
        return None
    header = copy.deepcopy(header)
    if "lines" in header["dual"]:
        place = max(range(len(shown)), key=shown.__getitem__)
        header["proofs"][place]["upper"] = (0.9 * shown[place]).hex()
        return header
    claimed = [strength / max(upper, 1e-300) for upper, strength in zip(shown, strengths(header), strict=True)]
    place = claimed.index(min(claimed))
    header["proofs"][place]["upper"] = (0.9 * shown[place]).hex()
    claimed[place] /= 0.9
    header["dual"]["scale"] = (min(claimed) * (1 - ROOM)).hex()
    return header
