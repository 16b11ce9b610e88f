"""What a job leaves in the folder of its process."""

# What its function returned, and what it printed.
OUTCOME = "outcome.json"
LOG = "log"
# Bytes that go with it: of a check the certificate that its result rests on, of a pack of cones what grew on them.
LEFT = "left"
# Of a check, while it runs: how far it is.
PROGRESS = "progress.json"
