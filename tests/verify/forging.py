"""Ways to break one rule of a valid certificate; digests are computed again, so that only that rule is broken.

A forgery takes the header and arrays of a valid certificate and gives the bytes of a false one.
"""

import hashlib
import io
import struct

import numpy as np
import safetensors.numpy

from .handmade import bytes_of, handmade, hexadecimal, leaves
from .packing import MAGIC, body_of, compact, packed, sealed

NAMES = ("inputs", "targets", "sample_weights", "mask")
WHOLE = {"axis": None, "group": 1}


def rehashed(content):
    return content + hashlib.sha256(content).digest()


def raw(change):
    """A forgery of the bytes of the certificate `handmade()`."""
    return handmade, lambda made: change(bytes_of(made))


def text(change):
    """A forgery of the text of the header."""

    def forge(made):
        data = bytes_of(made)
        start = len(MAGIC) + 8
        (length,) = struct.unpack("<Q", data[len(MAGIC) : start])
        return sealed(change(data[start : start + length]), body_of(made[1]))

    return handmade, forge


def table(change):
    """A forgery of the table of arrays, or of the bytes that it describes."""

    def forge(made):
        header, arrays = made
        entries, offset = [], 0
        for name, values in arrays.items():
            entries.append({"name": name, "dtype": values.dtype.str, "shape": list(values.shape), "offset": offset})
            offset += values.nbytes
        header["arrays"] = entries
        return packed(header, body=change(header["arrays"], body_of(arrays)) or body_of(arrays))

    return handmade, forge


def entry(base, path, value):
    """A forgery of one entry of the header, by its path of keys and indices; floats are spelled as the format wants."""

    def forge(made):
        set_at(made[0], path, value)
        return packed(*made)

    return base, forge


def set_at(header, path, value):
    *outer, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    for key in outer:
        header = header[key]
    header[last] = hexadecimal(value)


def array(base, **arrays):
    """A forgery of arrays, of proofs by their bare names; None takes one away."""

    def forge(made):
        header, old = made
        bare = {name: name.removeprefix("P0.") for name in old}
        merged = {name: np.asarray(arrays.get(bare[name], values)) for name, values in old.items()}
        return packed(header, {name: values for name, values in merged.items() if values.dtype != object})

    return base, forge


def weights(base, **arrays):
    """A forgery of parameters: `first`, `bias`, `second`."""
    names = {"first": "F0.0", "bias": "F0.bias", "second": "F0.1"}
    return base, lambda made: packed(made[0], made[1] | {names[name]: values for name, values in arrays.items()})


def wrong_statement_digest(made):
    header, arrays = made
    data = packed(header, arrays)
    right = hashlib.sha256(compact(header["statement"])).hexdigest().encode()
    return rehashed(data[:-32].replace(right, b"0" * 64))


def wide_network(made):
    header, arrays = made
    n = 2**14
    sizes = {"X": (n, 1), "Y": (n, 1), "F0.0": (n + 1, 1), "F0.1": (n + 1, 1), "A": (n, 1)}
    return packed(header, {name: np.zeros(shape) for name, shape in sizes.items()})


def high_dimension(made):
    header, arrays = made
    changed = {"frame": np.zeros((1, 15)), "rows": np.zeros((2, 15))} | leaves(1, 15)
    return packed(header, arrays | proof(changed))


def chain(edges, roots, dimension):
    """A tree whose first root is split along its first children."""
    splits = np.array([*edges, *[0] * (len(edges) + roots)], np.uint8)
    return {"splits": splits, "tangents": np.ones((len(edges) + roots, dimension), np.uint8)}


def proof(arrays):
    """Arrays of the first proof."""
    return {f"P0.{name}": np.asarray(values) for name, values in arrays.items()}


def free_policy(made):
    """A free bias that was said to be absent: columns of A need not sum to zero before."""
    header, arrays = made
    header["statement"]["outside"] = [{"features": "ones", "decay": (0.0).hex()}]
    dual = arrays.pop("A")
    return packed(header, arrays | {"C0": np.zeros((1, 1)), "A": dual})


def scalar_with_two_outputs(made):
    header, arrays = made
    header["proofs"][0]["kind"] = "scalar-majorant"
    zeros = {"curvatures": np.zeros((2, 2)), "slopes": np.zeros((2, 2)), "tilts": np.zeros((2, 2, 0))}
    zeros |= {"axes": np.zeros((2, 0, 1)), "levels": np.ones((2, 1))}
    return packed(header, {n: v for n, v in arrays.items() if not n.startswith("P0")} | proof(zeros))


def without_second_branch(made):
    """The arrays and the proof of a branch left out: its polar is never bounded, but the statement still has it."""
    header, arrays = made
    header["proofs"].pop()
    return packed(header, {name: values for name, values in arrays.items() if not name.startswith("P1")})


def bound_without_its_constant(made):
    """Were k = 0 where p = 0 is given, U = 1.2 would follow."""
    header, arrays = made
    header["proofs"][0]["upper"] = (1.2).hex()
    return packed(header, arrays | proof({"curvatures": np.zeros((2, 2)), "levels": np.full((2, 1), 0.6)}))


def featured(made=None):
    """The inputs said to be features of frozen layers."""
    header, arrays = made or handmade()
    header["statement"]["features"] = hashlib.sha256(arrays["X"].tobytes()).hexdigest()
    return header, arrays


def linked_head():
    """A certificate of the head of a model file with a frozen layer, and of a data file that holds no features."""
    header, arrays = featured()
    model = safetensors.numpy.save({"first": arrays["F0.0"], "second": arrays["F0.1"].T, "frozen": np.ones((1, 3))})
    return named(header, arrays, model, np.zeros((2, 3)))


def linked(name="first"):
    """A certificate of a model file and a data file, with the files."""
    header, arrays = handmade()
    model = safetensors.numpy.save({name: arrays["F0.0"], "second": arrays["F0.1"].T})
    return named(header, arrays, model, arrays["X"])


def named(header, arrays, model, inputs):
    stream = io.BytesIO()
    np.savez(stream, X=inputs, y=arrays["Y"])
    first, second = {"name": "first"} | WHOLE, {"name": "second", "axis": 1, "group": 1}
    header["sources"]["parameters"] = {"F0.0": [first], "F0.1": [second]}
    header["statement"]["data"]["names"] = dict.fromkeys(NAMES)
    return with_digests(header, model, stream.getvalue()), arrays, model, stream.getvalue()


def with_digests(header, model, data):
    header["sources"]["model"] = hashlib.sha256(model).hexdigest()
    header["statement"]["data"]["sha256"] = hashlib.sha256(data).hexdigest()
    return header


def negative_zero(header, arrays, model, data):
    return header, arrays | {"F0.0": -arrays["F0.0"]}, model, data


def other_inputs(header, arrays, model, data):
    return header, arrays | {"X": np.nextafter(arrays["X"], 0)}, model, data


def recipe(**changes):
    """A forgery of how the second weight is read."""

    def forge(header, arrays, model, data):
        header["sources"]["parameters"]["F0.1"][0] |= changes
        return header, arrays, model, data

    return forge


def unnamed(key):
    def forge(header, arrays, model, data):
        set_at(header, key, None)
        return header, arrays, model, data

    return forge


def damaged(which):
    def forge(header, arrays, model, data):
        files = {"model": model, "data": data}
        files[which] = files[which][:-9]
        return with_digests(header, **files), arrays, files["model"], files["data"]

    return forge


def stretched(made):
    """F = 2 and G = X/2: T = 1/2, but φ T = 1."""
    header, arrays = made
    header["proofs"][0]["upper"] = (0.75).hex()
    return packed(header, arrays | proof({"frame": np.full((1, 1), 2.0), "rows": arrays["P0.rows"] / 2}))


def claiming(upper, **changes):
    """A smaller bound on the polar, with other arrays to go with it."""

    def forge(made):
        header, arrays = made
        header["proofs"][0]["upper"] = upper.hex()
        return packed(header, arrays | proof(changes))

    return forge
