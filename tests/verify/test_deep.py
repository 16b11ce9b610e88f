"""What says that it is a certificate of several layers, and is none."""

import pytest

from certify.verify import verify_bytes

from . import handmade_deep


@pytest.mark.parametrize(("rule", "base", "forge"), handmade_deep.REFUSED)
def test_what_is_no_certificate_of_layers_is_refused(rule, base, forge):
    verdict = verify_bytes(forge(base()))
    assert (verdict.status, verdict.rule) == ("refused", rule), verdict.message
