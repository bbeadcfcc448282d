"""How a source writes a blob that arrives in ranges."""


def fill(part, spans=None, step=10_000, *, data):
    """Write the ranges, or all that is missing."""
    for start, end in part.missing if spans is None else spans:
        for at in range(start, end, step):
            part.write(at, memoryview(data)[at : min(at + step, end)])


def go_on():
    """The check of a caller who has all the time."""
