"""Names of the losses, so that a problem file is read without torch; the tests hold them to the registry."""

LOSS_NAMES = (
    "mse",
    "cross-entropy",
    "binary-cross-entropy",
    "soft-margin",
    "huber",
    "squared-hinge",
    "poisson",
)
