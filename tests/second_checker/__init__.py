"""A second checker of certificates, written from the format page alone, in exact arithmetic and without haste.

It shares no code with certify: `check` in `verdict.py` is all of it. `test_agreement.py` holds the two against each
other. Rules carry the names and numbers of `docs/reference/certificate-format.md`.
"""
