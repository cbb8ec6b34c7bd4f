"""Trying again: what may pass by itself is tried a few times, with growing pauses."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


class MayPass(Exception):  # noqa: N818 - not raised to users
    """A failure after which the same request may succeed: a server that starts, or is busy."""


@dataclass(frozen=True)
class Patience:
    """How long and how often a client tries.

    Attributes:
        seconds: for a whole call, with all its requests, tries and pauses.
        tries: of each request.
        first_pause: seconds before the second try; it doubles up to `longest_pause`. Each pause is
            shortened by chance to between half and all of it, so that clients that were turned away
            together do not come back together.
        clock, sleep, chance: replaced by tests.
    """

    seconds: float = 120.0
    tries: int = 6
    first_pause: float = 0.2
    longest_pause: float = 5.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random

    def __post_init__(self):
        if self.seconds <= 0 or self.tries < 1:
            raise ValueError(
                f"seconds must be above 0, and tries at least 1. Received: {self.seconds}, "
                f"{self.tries}."
            )

    def until(self) -> float:
        """The moment at which a call that begins now is given up."""
        return self.clock() + self.seconds

    def left(self, until: float, where: str, reason: str = "") -> float:
        """Seconds left.

        Raises:
            TimeoutError: none are.
        """
        left = until - self.clock()
        if left <= 0:
            after = f" The last failure: {reason}." if reason else ""
            raise TimeoutError(f"{where}: no answer within {self.seconds:g} s.{after}")
        return left


def try_again(attempt: Callable[[float], T], patience: Patience, until: float, where: str) -> T:
    """Calls `attempt` with the seconds left, until it succeeds.

    Args:
        attempt: raises `MayPass` for what is worth another try; anything else is final.
        patience: how often.
        until: the moment, on the patience's clock, at which to give up.
        where: names the server in errors.
    Raises:
        ConnectionError: every try failed.
        TimeoutError: the time is over, or would be before the next try.
    """
    pause, reason = patience.first_pause, ""
    for number in range(1, patience.tries + 1):
        left = patience.left(until, where, reason)
        try:
            return attempt(left)
        except MayPass as error:
            reason = str(error)
        if number < patience.tries:
            nap = pause * (0.5 + 0.5 * patience.chance())
            if patience.left(until, where, reason) <= nap:
                raise TimeoutError(
                    f"{where}: no answer within {patience.seconds:g} s. The last failure: {reason}."
                )
            patience.sleep(nap)
            pause = min(2 * pause, patience.longest_pause)
    raise ConnectionError(
        f"{where}: {patience.tries} tries failed. The last failure: {reason}. Is the server "
        f"running, and the port right?"
    )
