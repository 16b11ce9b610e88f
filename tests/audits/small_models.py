"""A folder of small models that differ, all at the optimum within the tolerance, and the audit file about them."""

import numpy as np
import torch

AUDIT = """\
schema: certify.audit/1
models:
  - path: "*.pt"
    expect: any
    problem:
      model: {layers: [{linear: a}, {linear: b}]}
      data: {path: train.npz, inputs: X, targets: y}
      loss: {name: mse, reduction: sum, scale: 0.5}
      penalty: {weight_decay: 1.0}
      biases: {hidden: absent, output: absent}
      budget: {seconds: 20}
"""


def write_models(folder, names):
    """The best product of two layers is the soft-thresholded diag(2, 1, 0); each model is a little off it."""
    np.savez(folder / "train.npz", X=np.eye(3), y=np.diag([3.0, 2.0, 1.0]))
    for index, name in enumerate(names):
        weights = torch.zeros(2, 3, dtype=torch.float64)
        weights[0, 0], weights[1, 1] = 2**0.5, 1 + index * 1e-7
        torch.save({"a.weight": weights, "b.weight": weights.T.contiguous()}, folder / f"{name}.pt")
    (folder / "audit.yaml").write_text(AUDIT)
