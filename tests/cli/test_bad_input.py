"""Bad input ends in one clear message and an exit code, never in a traceback or an internal error."""

import pytest

BAD_ARGUMENTS = [
    [],
    ["check"],
    ["check", ""],
    ["check", "."],
    ["check", "absent.pt"],
    ["check", "no\nsuch.pt"],
    ["check", "lone.pt"],
    ["check", "lone.pt", "--data", "train.npz"],
    ["check", "train.npz", "--data", "train.npz", "--weight-decay", "1"],
    ["check", "optimal.pt", "--problem", "absent.yaml"],
    ["check", "optimal.pt", "--problem", "."],
    ["check", "optimal.pt", "--problem", "train.npz"],
    ["check", "optimal.pt", "--data", "absent.npz"],
    ["check", "optimal.pt", "--data", "optimal.pt"],
    ["check", "optimal.pt", "--data", "optimal.problem.yaml"],
    ["check", "optimal.pt", "--inputs", "Z"],
    ["check", "optimal.pt", "--targets", "X,y"],
    ["check", "optimal.pt", "--loss", "hinge"],
    ["check", "optimal.pt", "--loss", "soft-margin"],
    ["check", "optimal.pt", "--loss", "binary-cross-entropy"],
    ["check", "optimal.pt", "--reduction", "median"],
    ["check", "optimal.pt", "--scale", "0"],
    ["check", "optimal.pt", "--scale", "nan"],
    ["check", "optimal.pt", "--weight-decay", "0"],
    ["check", "optimal.pt", "--weight-decay", "-1"],
    ["check", "optimal.pt", "--weight-decay", "inf"],
    ["check", "optimal.pt", "--relative-gap", "-1"],
    ["check", "optimal.pt", "--absolute-gap", "nan"],
    ["check", "optimal.pt", "--device", "tpu"],
    ["check", "optimal.pt", "--device", "cuda:99"],
    ["check", "optimal.pt", "--threads", "0"],
    ["check", "optimal.pt", "--seed", "one"],
    ["check", "optimal.pt", "--format", "xml"],
    ["check", "optimal.pt", "--no-such-flag"],
    ["inspect"],
    ["inspect", "absent.pt"],
    ["inspect", "train.npz"],
    ["inspect", "."],
    ["init"],
    ["init", "absent.pt"],
    ["init", "optimal.pt"],
    ["init", "lone.pt", "--data", "absent.npz"],
    ["init", "lone.pt", "-o", "absent/p.yaml"],
    ["explain", "no-such-code"],
    ["explain", ""],
]


@pytest.mark.parametrize("arguments", BAD_ARGUMENTS, ids=lambda arguments: " ".join(arguments) or "nothing")
def test_bad_arguments_end_in_a_message_and_a_code(arguments, certify, folder):
    run = certify(*arguments)
    assert run.code in (2, 4, 5)
    assert run.err.strip()
    assert "internal error" not in run.err
    assert run.out == ""


PROBLEMS = {
    "empty": "",
    "not yaml": "model: [",
    "a list": "- 1",
    "a number": "1",
    "another schema": "schema: certify.problem/2",
    "binary": "\x00\x01",
    "an alias": "a: &x 1\nb: *x",
    "a tag": "model: !!python/object:os.system {}",
    "no model": "schema: certify.problem/1\ndata: {path: train.npz}\npenalty: {weight_decay: 1}",
    "a nested list": "schema: certify.problem/1\nmodel: [[1]]\ndata: 1\npenalty: x",
    "both penalties": "penalty: {weight_decay: 1, product_of_norms: {strength: 1}}",
    "a tab": "model:\n\tpath: x",
}


@pytest.mark.parametrize("text", PROBLEMS.values(), ids=PROBLEMS.keys())
def test_bad_problem_files_are_located_usage_errors(text, certify, folder):
    (folder / "poor.problem.yaml").write_text(text)
    run = certify("check", "poor.pt")
    assert run.code == 2
    assert "poor.problem.yaml:" in run.err


@pytest.mark.parametrize("content", [b"", b"\x80", b"PK\x03\x04", b"\x80\x04K\x01.", b"hello", b"\xff" * 1000])
def test_bad_model_files_are_refused(content, certify, folder):
    (folder / "poor.pt").write_bytes(content)
    for command in ("check", "inspect"):
        run = certify(command, "poor.pt")
        assert run.code == 5, command
        assert "poor.pt" in run.err


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", b"1,2\n3", b"\xff" * 1000])
def test_bad_data_files_are_refused(content, certify, folder):
    (folder / "train.npz").write_bytes(content)
    run = certify("check", "poor.pt")
    assert run.code in (2, 5)
    assert run.err.startswith("certify: error: train.npz")
