"""Seeded damage to every format: each file is read, or refused in one line; nothing else is raised."""

from functools import cache

import numpy as np
import pytest

import certify
from certify.errors import CertifyError, ExitCode
from tests.models.readers.hostile.samples import INNER, MODELS, damaged, with_entry

# Exit codes that a damaged file may end with.
REFUSALS = (ExitCode.USAGE, ExitCode.UNSUPPORTED, ExitCode.REFUSED)
# Every format is damaged 10,000 times: 20 rounds of 500.
ROUNDS, DAMAGES = 20, 500

sample = cache(lambda name: MODELS[name]())
FORMS = [*MODELS, *(f"{name} inside" for name in INNER)]


def mutant(form, rng):
    if not form.endswith(" inside"):
        return damaged(sample(form), rng)
    name = form.removesuffix(" inside")
    return with_entry(sample(name.partition("-weights")[0]), INNER[name], lambda entry: damaged(entry, rng))


def survives(path, content):
    """Whether the file is read; raises what is no refusal."""
    path.write_bytes(content)
    try:
        certify.inspect(path)
    except CertifyError as error:
        assert error.exit_code in REFUSALS, error  # noqa: PT017
        message = str(error)
        assert "\n" not in message  # noqa: PT017
        assert len(message) < 2000  # noqa: PT017
        return False
    return True


def campaign(path, form, seed, count):
    rng = np.random.default_rng([seed, FORMS.index(form)])
    return sum(survives(path, mutant(form, rng)) for _ in range(count))


@pytest.mark.parametrize("form", MODELS)
def test_the_samples_themselves_are_read(tmp_path, form):
    assert survives(tmp_path / "model", sample(form))


@pytest.mark.parametrize("form", FORMS)
def test_damage_is_refused_or_harmless(tmp_path, form):
    before = sorted(tmp_path.iterdir())
    assert campaign(tmp_path / "model", form, seed=0, count=60) < 60
    assert sorted(tmp_path.iterdir()) == [*before, tmp_path / "model"]


@pytest.mark.slow
@pytest.mark.parametrize("turn", range(1, ROUNDS + 1))
@pytest.mark.parametrize("form", FORMS)
def test_much_damage_is_refused_or_harmless(tmp_path, form, turn):
    assert campaign(tmp_path / "model", form, turn, DAMAGES) < DAMAGES


@pytest.mark.parametrize("form", MODELS)
def test_every_kilobyte_of_a_truncated_file_is_refused(tmp_path, form):
    content = sample(form)
    for length in sorted({*range(0, len(content), 1024), *range(0, len(content), 1 + len(content) // 40)}):
        assert not survives(tmp_path / "model", content[:length])
