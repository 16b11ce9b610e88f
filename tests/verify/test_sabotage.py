"""Without any one of its error terms, the checker claims something false; with all of them, it does not.

Terms are found in the source: a new one fails here until it has a case, or a reason why another covers it.
"""

import pytest

from . import error_terms, rule_error_terms
from .sabotage import occurrences, removed, segment

CAUGHT = error_terms.CAUGHT + rule_error_terms.CAUGHT
OVERLAPPING = error_terms.OVERLAPPING + rule_error_terms.OVERLAPPING
TOGETHER = [overlap for overlap in OVERLAPPING if overlap.case]


@pytest.mark.parametrize(("term", "holds"), CAUGHT, ids=[str(term) for term, _ in CAUGHT])
def test_a_claim_holds_and_is_false_without_the_error_term(term, holds):
    assert holds()
    with removed(term):
        assert not holds()
    assert holds()


@pytest.mark.parametrize("overlap", TOGETHER, ids=[str(overlap.term) for overlap in TOGETHER])
def test_a_claim_holds_without_a_term_that_is_covered_and_is_false_without_all_that_cover_it(overlap):
    with removed(overlap.term):
        assert overlap.case()
    with removed(*{overlap.term, *overlap.beside}):
        assert not overlap.case()


@pytest.mark.parametrize("overlap", OVERLAPPING, ids=[str(overlap.term) for overlap in OVERLAPPING])
def test_no_claim_is_false_without_a_term_that_is_covered(overlap):
    """Reasons are words; here they meet the cases of their neighbors."""
    near = [holds for term, holds in CAUGHT if term.file == overlap.term.file]
    with removed(overlap.term):
        assert all(holds() for holds in near or [holds for _, holds in rule_error_terms.CAUGHT])


def test_every_error_term_in_the_source_is_in_a_table():
    spans = [(term.place, term.text) for term, _ in CAUGHT] + [(o.term.place, o.term.text) for o in OVERLAPPING]
    for entry in rule_error_terms.NO_TERMS:
        path, name, *text = entry.split(": ", 2)
        place = f"{path}: {name}"
        spans.append((place, text[0] if text else segment(place)))
    covered = {}
    for place, text in spans:
        assert segment(place).count(text) == 1, (place, text)
        start = segment(place).index(text)
        covered.setdefault(place, []).append((start, start + len(text)))
    found = list(occurrences())
    assert len(found) > 150
    missing = [
        (place, shown)
        for place, start, end, shown in found
        if not any(first <= start and end <= last for first, last in covered.get(place, []))
    ]
    assert missing == []
