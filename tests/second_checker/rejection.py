"""How a check ends early."""

# Elementary steps that exact arithmetic takes within about half a minute.
AFFORDABLE = 200_000_000


class Rejected(Exception):
    """A rule that does not hold, by its name."""


class TooLarge(Exception):
    """Nothing is known to be wrong, but exact arithmetic would take too long."""


def require(condition: object, rule: str) -> None:
    if not condition:
        raise Rejected(rule)


class Purse:
    left = AFFORDABLE


def afford(steps: int) -> None:
    Purse.left -= steps
    if Purse.left < 0:
        raise TooLarge
