"""What a job leaves in the folder of its process."""

# What its function returned, and what it printed.
OUTCOME = "outcome.json"
LOG = "log"
# Of a check: the certificate that its result rests on, and while it runs how far it is.
CERTIFICATE = "certificate"
PROGRESS = "progress.json"
