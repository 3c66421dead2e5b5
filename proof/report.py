"""What a check is, what it found, and how the page tells it."""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Callable

ALL: dict[str, Check] = {}


@dataclasses.dataclass
class Check:
    """One row of the page: `run` gets an empty folder and gives back what was measured, in words; a promise that
    does not hold is a `Broken`."""

    name: str
    demands: str
    run: Callable[[pathlib.Path], str]


class Broken(Exception):
    """A promise that did not hold, with the figures."""


def check(demands: str):
    """Makes a function a check under its own name."""

    def taken(run):
        ALL[run.__name__] = Check(run.__name__, demands, run)
        return run

    return taken


def demand(holds: bool, what: str) -> None:
    if not holds:
        raise Broken(what)


def until(so: Callable[[], object], seconds: float, what: str, pause: float = 0.05):
    """Waits for what must come, and gives it back; after so many seconds it is broken."""
    end = time.monotonic() + seconds
    while True:
        found = so()
        if found:
            return found
        if time.monotonic() > end:
            raise Broken(f"not within {seconds:g} s: {what}")
        time.sleep(pause)


def percentile(values: list[float], part: float) -> float:
    """The value below which that part of them lies; of none it is not a number."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else float("nan")
