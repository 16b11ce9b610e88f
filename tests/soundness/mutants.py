"""Random changes of a certificate, and the strongest claim that a checker's own numbers allow it."""

from __future__ import annotations

import math

import numpy as np

EDGES = (0.0, -0.0, 1.0, -1.0, 2.0**-1074, 2.0**-600, 2.0**-199, 2.0**199, -(2.0**199), 1e-16, 1e16)
NUMBERS = (("claim", "upper"), ("claim", "lower"), ("dual", "scale"), ("proof", "upper"))
# Relative room for the roundings of s U ≤ λ; a cone tree shows a bound of its own.
ROOM, TREE_ROOM = 2.0**-50, 2.0**-39


def changed_number(rng, text):
    value = float.fromhex(text)
    match rng.integers(6):
        case 0:
            value = math.nextafter(value, rng.choice([-math.inf, math.inf]))
        case 1:
            value *= 1 + rng.choice([-1, 1]) * 10 ** rng.uniform(-16, 0)
        case 2:
            value = float(rng.choice(EDGES))
        case 3:
            value = -value
        case 4:
            value *= 2.0 ** rng.integers(-40, 40)
        case _:
            value += 10 ** rng.uniform(-16, 2) * rng.choice([-1, 1])
    return float(value).hex()


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


def mutant(rng, header, arrays):
    header = {key: dict(value) if isinstance(value, dict) else value for key, value in header.items()}
    arrays = {name: values.copy() for name, values in arrays.items()}
    for _ in range(int(rng.choice([1, 1, 2, 4]))):
        match rng.integers(5):
            case 0:
                section, key = NUMBERS[rng.integers(len(NUMBERS))]
                header[section][key] = changed_number(rng, header[section][key])
            case 1:
                key = ("strength", "scale")[rng.integers(2)]
                header["problem"][key] = changed_number(rng, header["problem"][key])
                if rng.random() < 0.9:
                    header["problem"]["lambda"] = header["problem"]["strength"]
            case _:
                change_array(rng, arrays, rng.choice(list(arrays)))
    return header, arrays


def strongest(header, verdict):
    """The same proof with the best claim that the checker's own numbers support, or None."""
    if verdict.objective is None or verdict.dual_value is None or verdict.polar_upper is None:
        return None
    if not math.isfinite(verdict.polar_upper):
        return None
    header = {key: dict(value) if isinstance(value, dict) else value for key, value in header.items()}
    strength, shown = float.fromhex(header["problem"]["strength"]), verdict.polar_upper
    if shown > 0:
        tree = header["proof"]["kind"] == "cone-tree"
        header["proof"]["upper"] = (shown * (1 + TREE_ROOM / 2) if tree else shown).hex()
        header["dual"]["scale"] = (strength / shown * (1 - (TREE_ROOM if tree else ROOM))).hex()
    header["claim"] |= {"upper": verdict.objective[1].hex(), "lower": verdict.dual_value[0].hex()}
    return header


def tightened(header, verdict):
    """A claim that the polar is smaller by a tenth, with the scale that this would allow."""
    if verdict.polar_upper is None or not 0 < verdict.polar_upper < math.inf:
        return None
    header = {key: dict(value) if isinstance(value, dict) else value for key, value in header.items()}
    upper = 0.9 * verdict.polar_upper
    header["proof"]["upper"] = upper.hex()
    header["dual"]["scale"] = (float.fromhex(header["problem"]["strength"]) / upper * (1 - ROOM)).hex()
    return header
