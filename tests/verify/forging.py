"""Ways to break one rule of a valid certificate; digests are computed again, so that only that rule is broken.

A forgery takes the header and arrays of a valid certificate and gives the bytes of a false one.
"""

import hashlib
import io
import struct

import numpy as np
import safetensors.numpy

from .cases import MAGIC, compact, packed, sealed
from .handmade import bytes_of, handmade, leaves


def body_of(arrays):
    return b"".join(values.tobytes() for values in arrays.values())


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


def entry(base, section, key, value):
    """A forgery of one entry of the header; numbers may be given as numbers."""

    def forge(made):
        part = made[0] if section is None else made[0][section]
        part[key] = value.hex() if isinstance(value, float) else value
        return packed(*made)

    return base, forge


def array(base, **arrays):
    """A forgery of arrays; None takes one away."""

    def forge(made):
        header, old = made
        merged = {name: np.asarray(arrays.get(name, values)) for name, values in old.items()}
        return packed(header, {name: values for name, values in merged.items() if values.dtype != object})

    return base, forge


def strength(value):
    def forge(made):
        made[0]["problem"] |= {"strength": value.hex(), "lambda": value.hex()}
        return packed(*made)

    return handmade, forge


def wrong_problem_digest(made):
    header, arrays = made
    data = packed(header, arrays)
    right = hashlib.sha256(compact(header["problem"])).hexdigest().encode()
    return rehashed(data[:-32].replace(right, b"0" * 64))


def wide_network(made):
    header, arrays = made
    n = 2**14
    sizes = {"X": (n, 1), "Y": (n, 1), "W1": (n + 1, 1), "W2": (1, n + 1), "A": (n, 1)}
    return packed(header, {name: np.zeros(shape) for name, shape in sizes.items()})


def high_dimension(made):
    header, arrays = made
    arrays |= {"frame": np.zeros((1, 15)), "rows": np.zeros((2, 15))} | leaves(1, 15)
    return packed(header, arrays)


def chain(edges, roots, dimension):
    """A tree whose first root is split along its first children."""
    splits = np.array([*edges, *[0] * (len(edges) + roots)], np.uint8)
    return {"splits": splits, "tangents": np.ones((len(edges) + roots, dimension), np.uint8)}


def free_policy(made):
    """A free bias that was said to be absent: columns of A need not sum to zero before."""
    header, arrays = made
    header["problem"]["output_bias"] = "free"
    return packed(
        header, {n: v for m, w in arrays.items() for n, v in ((m, w), *([("b2", np.zeros(1))] * (m == "W2")))}
    )


def scalar_with_two_outputs(made):
    header, arrays = made
    header["proof"]["kind"] = "scalar-majorant"
    zeros = {"curvatures": np.zeros((2, 2)), "slopes": np.zeros((2, 2)), "caps": np.zeros((2, 2)), "levels": np.ones(2)}
    return packed(header, {n: v for n, v in arrays.items() if n not in ("mixings", "envelopes")} | zeros)


def bound_without_its_constant(made):
    """Were k = 0 where p = 0 is given, U = 1.2 would follow."""
    header, arrays = made
    header["proof"]["upper"] = (1.2).hex()
    return packed(header, arrays | {"curvatures": np.zeros((2, 2)), "levels": np.full(2, 0.6)})


def featured(made=None):
    """The inputs said to be features of frozen layers."""
    header, arrays = made or handmade()
    header["problem"]["features"] = hashlib.sha256(arrays["X"].tobytes()).hexdigest()
    return header, arrays


def linked_head():
    """A certificate of the head of a model file with a frozen layer, and of a data file that holds no features."""
    header, arrays = featured()
    model = safetensors.numpy.save({"first": arrays["W1"], "second": arrays["W2"], "frozen": np.ones((1, 3))})
    stream = io.BytesIO()
    np.savez(stream, X=np.zeros((2, 3)), y=arrays["Y"])
    header["sources"]["parameters"] = {"W1": "first", "W2": "second"}
    header["sources"]["data_names"] = dict.fromkeys(("inputs", "targets", "sample_weights", "mask"))
    return with_digests(header, model, stream.getvalue()), arrays, model, stream.getvalue()


def linked(name="first"):
    """A certificate of a model file and a data file, with the files."""
    header, arrays = handmade()
    model = safetensors.numpy.save({name: arrays["W1"], "second": arrays["W2"]})
    stream = io.BytesIO()
    np.savez(stream, X=arrays["X"], y=arrays["Y"])
    header["sources"]["parameters"] = {"W1": "first", "W2": "second"}
    header["sources"]["data_names"] = dict.fromkeys(("inputs", "targets", "sample_weights", "mask"))
    return with_digests(header, model, stream.getvalue()), arrays, model, stream.getvalue()


def with_digests(header, model, data):
    header["sources"] |= {"model": hashlib.sha256(model).hexdigest(), "data": hashlib.sha256(data).hexdigest()}
    return header


def negative_zero(header, arrays, model, data):
    return header, arrays | {"W1": -arrays["W1"]}, model, data


def other_inputs(header, arrays, model, data):
    return header, arrays | {"X": np.nextafter(arrays["X"], 0)}, model, data


def unnamed(key):
    def forge(header, arrays, model, data):
        header["sources"][key] = None
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
    header["proof"]["upper"] = (0.75).hex()
    return packed(header, arrays | {"frame": np.full((1, 1), 2.0), "rows": arrays["rows"] / 2})


def claiming(upper, **changes):
    """A smaller bound on the polar, with other arrays to go with it."""

    def forge(made):
        header, arrays = made
        header["proof"]["upper"] = upper.hex()
        return packed(header, arrays | {name: np.asarray(values) for name, values in changes.items()})

    return forge
