"""The objective of a problem file, from the files alone and in plain torch: shares no code with certify."""

import csv
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import torch
import yaml
from safetensors.torch import load_file
from torch.nn import functional

LOSSES = {
    "mse": functional.mse_loss,
    "huber": functional.huber_loss,
    "soft-margin": functional.soft_margin_loss,
    "cross-entropy": functional.cross_entropy,
    "binary-cross-entropy": functional.binary_cross_entropy_with_logits,
}
ACTIVATIONS = {"relu": torch.relu, "abs": torch.abs, "square": torch.square, "sigmoid": torch.sigmoid}


def objective_of_file(problem_file, model_file=None):
    """Loss plus penalty, read off the problem file; `model_file` replaces the model that it names."""
    folder = Path(problem_file).parent
    problem = yaml.safe_load(Path(problem_file).read_text(encoding="utf-8"))
    path = Path(model_file or folder / problem["model"]["path"])
    if "cp" in (problem["model"].get("layers") or [{}])[0]:
        return cp_objective(problem, read_weights(path), np.load(folder / problem["data"]["path"])["y"])
    if (factorized := factorized_objective(folder, problem, path)) is not None:
        return factorized
    inputs, targets, observed = read_data(folder, problem["data"])
    if path.suffix == ".pt2":
        module = torch.export.load(path).module()
        weights = {name: parameter.detach() for name, parameter in module.named_parameters()}
        outputs = module(inputs).detach()
        if (product := problem["penalty"].get("product_of_norms")) is None:
            penalty = decay_of(weights, problem["penalty"]["weight_decay"])
        else:  # one subnetwork
            sizes = [float(weight.norm()) for weight in weights.values()]
            penalty = product["strength"] * np.prod(sizes)
    else:
        weights = read_weights(path)
        outputs = forward(weights, problem["model"]["layers"], inputs)
        penalty = penalty_of(problem, weights)
    return loss_of(problem["loss"], outputs, targets, observed) + penalty


def cp_objective(problem, weights, values):
    """Of a tensor whose missing entries are NaN."""
    factors = [weights[name] for name in problem["model"]["layers"][0]["cp"]]
    letters = "ijkl"[: len(factors)]
    outputs = torch.einsum(",".join(f"{letter}r" for letter in letters) + "->" + letters, *factors)
    product = problem["penalty"]["product_of_norms"]
    penalty = torch.stack([factor.norm(dim=0) for factor in factors]).prod(0).sum()
    observed = torch.from_numpy(~np.isnan(values))
    return loss_of(problem["loss"], outputs, torch.from_numpy(values), observed) + product["strength"] * float(penalty)


def factorized_objective(folder, problem, path):
    """Of a recommender: ratings in a table and a program of pairs, or all entries with weights and two factors."""
    data, decay = problem["data"], problem["penalty"].get("weight_decay")
    if path.suffix == ".npz":
        with np.load(path) as model, np.load(folder / data["path"]) as arrays:
            entry = problem["model"]["layers"][0]["factorization"]
            left, right = model[entry["left"]], model[entry["right"]]
            targets, weights = dense_feedback(problem, arrays)
            squares = weights * (left @ right.T - targets) ** 2
        return float(squares.sum() + decay / 2 * ((left**2).sum() + (right**2).sum()))
    if path.suffix != ".pt2" or set(data) != {"path"} or not data["path"].endswith(".csv"):
        return None
    with (folder / data["path"]).open(encoding="utf-8") as stream:
        rows = [(int(row["user"]), int(row["item"]), float(row["rating"])) for row in csv.DictReader(stream)]
    users, items, ratings = (torch.tensor(column) for column in zip(*rows, strict=True))
    module = torch.export.load(path).module()
    weights = {name: parameter.detach() for name, parameter in module.named_parameters()}
    takes_pairs = len(torch.export.load(path).graph_signature.user_inputs) == 2
    given = (users, items) if takes_pairs else (torch.stack([users, items], 1).double(),)
    targets = torch.tensor([value for _, _, value in rows], dtype=torch.float64)
    return loss_of(problem["loss"], module(*given).detach(), targets, None) + decay_of(weights, decay)


def dense_feedback(problem, arrays):
    """Targets and weights of all entries; of those that are not in the data 0, and the one weight of them."""
    data, unobserved = problem["data"], problem["loss"].get("unobserved_weight")
    if unobserved is None:
        return arrays[data["targets"]], arrays[data["sample_weights"]]
    targets, weights = np.zeros(arrays["shape"]), np.full(arrays["shape"], unobserved)
    places = arrays["rows"], arrays["cols"]
    targets[places], weights[places] = arrays["values"], arrays["weights"]
    return targets, weights


def read_weights(path):
    path = str(path)
    found = load_file(path) if path.endswith(".safetensors") else torch.load(path, weights_only=True)
    return {name: tensor.double() for name, tensor in found.items()}


def read_data(folder, data):
    """Inputs, targets and a mask of the observed entries, None for all."""
    path = folder / data["path"]
    if path.suffix == ".csv":
        with path.open(encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        columns = [[[float(row[name]) for name in data[role]] for row in rows] for role in ("inputs", "targets")]
        return torch.tensor(columns[0], dtype=torch.float64), torch.tensor(columns[1], dtype=torch.float64), None
    with np.load(path) as file:
        arrays = {name: torch.from_numpy(np.asarray(file[name])) for name in file.files}
    if "rows" in arrays:
        shape = arrays["shape"].tolist()
        targets, observed = torch.zeros(shape, dtype=torch.float64), torch.zeros(shape, dtype=torch.bool)
        targets[arrays["rows"], arrays["cols"]] = arrays["values"]
        observed[arrays["rows"], arrays["cols"]] = True
        return torch.eye(len(targets)).double(), targets, observed
    return arrays[data["inputs"]].double(), arrays[data["targets"]].double(), None


def forward(weights, layers, inputs):
    hidden = inputs
    for layer in layers:
        if isinstance(layer, dict) and "skip" in layer:  # unpenalized in the fixtures, and last
            hidden = hidden + functional.linear(inputs, weights[f"{layer['skip']}.weight"])
        elif isinstance(layer, dict) and "leaky_relu" in layer:
            hidden = functional.leaky_relu(hidden, layer["leaky_relu"])
        elif isinstance(layer, dict):
            name = layer["linear"]
            hidden = functional.linear(hidden, weights[f"{name}.weight"], weights.get(f"{name}.bias"))
        else:
            hidden = ACTIVATIONS[layer](hidden)
    return hidden


def loss_of(section, outputs, targets, observed):
    if section["name"] == "cross-entropy":
        targets = targets.long()
    if observed is not None:
        outputs, targets = outputs[observed], targets[observed]
    return section["scale"] * float(LOSSES[section["name"]](outputs, targets, reduction=section["reduction"]))


def decay_of(weights, decay):
    """The sum of wd/2 |p|² over all parameters, with one wd for all or the first that matches the name."""
    rule = decay if isinstance(decay, dict) else {"*": decay}
    strengths = {name: next(rule[pattern] for pattern in rule if fnmatchcase(name, pattern)) for name in weights}
    return sum(strength / 2 * float(weights[name].square().sum()) for name, strength in strengths.items())


def norm_of(name, rows):
    return rows.norm(dim=1, p={"l1": 1, "l2": 2, "linf": float("inf")}[name])


def penalty_of(problem, weights):
    first, *_, second = [layer["linear"] for layer in problem["model"]["layers"] if "linear" in layer]
    penalty = problem["penalty"]
    if "factor_norms" in penalty:
        factors = penalty["factor_norms"]
        sides = zip(("left", "right"), (weights[f"{first}.weight"], weights[f"{second}.weight"].T), strict=True)
        return factors["strength"] * float(
            torch.stack([norm_of(factors[side], rows) for side, rows in sides]).prod(0).sum()
        )
    if isinstance(penalty.get("weight_decay"), dict):
        return decay_of(weights, penalty["weight_decay"])
    biases = problem["biases"]
    if problem.get("scope") == "head":  # in the fixtures, the last layer with its bias
        squares = weights[f"{second}.weight"].square().sum() + weights[f"{second}.bias"].square().sum()
        return penalty["weight_decay"] / 2 * float(squares)
    hidden = [weights[f"{first}.bias"][:, None]] if biases["hidden"] == "penalized" else []
    incoming, outgoing = torch.cat([weights[f"{first}.weight"], *hidden], 1), weights[f"{second}.weight"]
    if "product_of_norms" in penalty:
        product = penalty["product_of_norms"]
        one, other = product["powers"]
        return product["strength"] * float((incoming.norm(dim=1) ** one * outgoing.norm(dim=0) ** other).sum())
    squares = incoming.square().sum() + outgoing.square().sum()
    if biases["output"] == "penalized":
        squares = squares + weights[f"{second}.bias"].square().sum()
    return penalty["weight_decay"] / 2 * float(squares)
