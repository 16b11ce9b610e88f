"""No rule computes with bare floats: arithmetic on anything but enclosures stands where its errors are counted.

Every operand of every operation in the checker's rules is given to mypy to tell its type, so that no float hides
behind a name.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OPERATIONS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.MatMult, ast.Pow, ast.FloorDiv, ast.Mod)
ENCLOSED = re.compile(r"Reals|Enclosure|Balls|Self|arb")
FLOATS = re.compile(r"float(?!ing)|floating|dtype\[Any\]|TypeVar")
# What is not a rule (containers, files, messages), and files whose docstrings count the errors of their own floats.
LEFT_OUT = (
    *("enclosure.py", "semidefinite.py", "exact/", "links/"),
    *("proofs/least_norms.py", "proofs/power_test.py", "forms/sparse_floats.py"),
)
# Functions that compute with floats, and why that is sound.
KNOWN = {
    "proofs/cone_tree.py: interpolated": "error ε of the docstring",
    "proofs/cone_tree.py: _interpolated": "error ε of the docstring",
    "proofs/cone_tree.py: tangents": "error ε of the docstring; tangents may be any 0 or 1",
    "proofs/cone_tree.py: _values": "error ε of the docstring, added",
    "proofs/cone_tree.py: _normalized_sum": "error ε of the docstring; slopes are floats by definition",
    "proofs/cone_tree.py: normalized": "divides by powers of two",
    "proofs/cone_tree.py: directions_of": "where tangents are taken; any will do",
    "proofs/cone_tree.py: threshold_of": "where a search may end",
    "proofs/cone_walk.py: _orthants": "signs",
    "proofs/majorants.py: _majorant": "p where none is given; any p > 0 will do",
    "forms/peeling.py: _weights": "p where none is given; any p > 0 will do",
    "statement/hop.py: _averaged_back": "counts of taps, small integers",
    "proofs/products.py: _products": "zeros are added",
    "proofs/factorizations.py: _symmetric": "zeros are added",
    "proofs/products.py: _diagonal": "zeros and ones",
    "proofs/cone_tree.py: require_leaves": "counts",
    "proofs/sign_tree.py: _tree": "counts",
    "statement/windows.py: after": "counts of taps, small integers",
    "statement/objective.py: _outputs": "zeros are added",
    "statement/dual_point.py: _scaled": "powers of two, required to be exact",
    "statement/dual_point.py: change_to_kernel": "guesses at an eigenvalue, each proven",
    "statement/certificate.py: _proofs": "a share of a probability; the test's slack of 2⁻²⁰ covers it",
    "verdict.py: gap": "shown, not decided on",
    "verdict.py: relative_gap": "shown, not decided on",
}


class Revealing(ast.NodeTransformer):
    """Wraps the operand on one side of every operation in `reveal_type`."""

    def __init__(self, side):
        self.side = side

    def visit_BinOp(self, node):
        self.generic_visit(node)
        if isinstance(node.op, OPERATIONS):
            operand = getattr(node, self.side)
            setattr(node, self.side, ast.Call(ast.Name("reveal_type", ast.Load()), [operand], []))
        return node

    def visit_JoinedStr(self, node):
        return node


def operations(tree, function="<module>"):
    """Every operation, outer ones first, with the function around it."""
    for node in ast.iter_child_nodes(tree):
        inside = node.name if isinstance(node, ast.FunctionDef) else function
        if isinstance(node, ast.BinOp) and isinstance(node.op, OPERATIONS):
            yield inside, node
        if not isinstance(node, ast.JoinedStr):
            yield from operations(node, inside)


def types_of(folder, side):
    """The type of the operand on one side of every operation, by file, in the order of `operations`."""
    texts = {}
    for path in sorted((ROOT / "certify" / "verify").rglob("*.py")):
        target = folder / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        tree = ast.fix_missing_locations(Revealing(side).visit(ast.parse(path.read_text())))
        # One to a line: mypy says the same of a line only once.
        texts[str(target.relative_to(folder))] = ast.unparse(tree).replace("reveal_type(", "reveal_type(\n")
        target.write_text(texts[str(target.relative_to(folder))])
    (folder / "certify" / "__init__.py").touch()
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--strict"]
    options += ["--cache-dir", str(ROOT / ".mypy_cache"), "certify/verify"]
    output = subprocess.run([sys.executable, "-m", "mypy", *options], cwd=folder, capture_output=True, text=True).stdout
    types = {}
    for name, line, kind in re.findall(r'^(.*?):(\d+): note: Revealed type is "(.*)"$', output, re.M):
        types[name, int(line)] = kind
    return {
        name: [types.get((name, getattr(node, side).args[0].lineno)) for _, node in operations(ast.parse(text))]
        for name, text in texts.items()
    }


def revealed(folder):
    """For every operation: file, function, source, and the types of both operands."""
    left, right = types_of(folder / "left", "left"), types_of(folder / "right", "right")
    for name in left:
        nodes = operations(ast.parse((ROOT / name).read_text()))
        for (function, node), *sides in zip(nodes, left[name], right[name], strict=True):
            yield name.removeprefix("certify/verify/"), function, ast.unparse(node), sides


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return list(revealed(tmp_path_factory.mktemp("revealed")))


def test_every_operand_has_a_type(found):
    assert len(found) > 300
    unknown = [(name, text) for name, _, text, sides in found if None in sides]
    assert len(unknown) < 0.05 * len(found), unknown


def test_no_rule_computes_with_bare_floats(found):
    bare = {}
    for name, function, text, sides in found:
        constant = not any(isinstance(node, ast.Name) for node in ast.walk(ast.parse(text)))
        shown = " ".join(map(str, sides))
        rule = not name.startswith(LEFT_OUT) and function != "<module>" and not constant
        if rule and FLOATS.search(shown) and not ENCLOSED.search(shown):
            bare.setdefault(f"{name}: {function}", []).append((text, sides))
    assert bare.keys() == KNOWN.keys(), bare
