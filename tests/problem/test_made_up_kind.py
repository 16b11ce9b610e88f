"""A kind of subnetwork joins by its folder, one line of the registry and one of the checker's table, and nothing else.

The kind is σ(t) = max(t, 0) + 0.3 |t|, made up for this test, in a copy of the package.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import certify

KIND = '''"""A bent line: σ(t) = max(t, 0) + 0.3 |t|."""

from dataclasses import dataclass
from typing import ClassVar, final

from certify.problem.forms import Slopes
from certify.problem.kinds.rectifier import Rectifier


@final
@dataclass(frozen=True, slots=True)
class Bent(Rectifier):
    """One hidden neuron with this function."""

    name: ClassVar[str] = "bent"

    @classmethod
    def from_operations(cls, operations):
        found = [(name, dict(attributes)) for name, attributes in operations]
        return cls() if sorted(name for name, _ in found) == ["abs", "add", "relu", "scale"] and (
            {"factor": 0.3} in [attributes for _, attributes in found]
        ) else None

    @property
    def operations(self):
        return (("relu", {}), ("abs", {}), ("scale", {"factor": 0.3}), ("add", {}))

    @property
    def statement(self):
        return ({"op": "bent"},)

    @property
    def slopes(self):
        return Slopes(1.3, -0.3)
'''
REGISTRY = ("problem/kinds/__init__.py", "KINDS: tuple[type[Kind], ...] = (", "KINDS: tuple[type[Kind], ...] = (Bent, ")
IMPORT = "from certify.problem.kinds.bent import Bent\n"
TWIN = (
    "verify/statement/activations.py",
    '    "relu": (',
    '    "bent": ((), lambda _: Kink(1.3, -0.3)),\n    "relu": (',
)
SCRIPT = """
import torch
import certify
from certify import Problem
from certify.verify import verify_bytes
from certify.verify.exact import verify_bytes_exactly
from certify.workflows.grow import grow

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = torch.nn.Linear(2, 3).double(), torch.nn.Linear(3, 1).double()
    def forward(self, x):
        h = self.one(x)
        return self.two(torch.relu(h) + 0.3 * torch.abs(h))

torch.manual_seed(0)
x = torch.randn(12, 2, dtype=torch.float64)
grown = grow(Problem.from_torch(Net(), x, x[:, :1] ** 2, weight_decay=0.05, budget_seconds=60.0))
checks = [check(grown.certificate).status for check in (verify_bytes, verify_bytes_exactly)]
print(certify.__file__, grown.result.verdict, grown.result.polar.method, *checks)
"""


def test_a_made_up_kind_is_certified_and_verified_after_two_lines_and_a_folder(tmp_path):
    package = tmp_path / "certify"
    shutil.copytree(Path(certify.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "problem/kinds/bent").mkdir()
    (package / "problem/kinds/bent/__init__.py").write_text(KIND)
    for name, old, new in (REGISTRY, TWIN):
        text = (package / name).read_text()
        assert text.count(old) == 1
        (package / name).write_text(text.replace(old, new))
    registry = package / REGISTRY[0]
    text = registry.read_text()
    registry.write_text(text.replace("from certify.problem.kinds.kind", IMPORT + "from certify.problem.kinds.kind", 1))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    where, *found = done.stdout.split()
    assert Path(where).parent == package
    assert found == ["certified", "signs", "valid", "valid"]
