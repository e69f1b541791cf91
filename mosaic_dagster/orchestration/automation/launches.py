"""What a sensor remembers between two looks, so that no work is asked for twice.

A run key names the work and how often it was begun. Dagster starts nothing for a key that it has
seen: a sensor that was killed after it asked, or a second daemon, asks for the same key again. The
same work may come back later (a file is corrected twice, a parameter is changed and changed back),
so the key counts how often the work has changed, too.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from mosaic_dagster.orchestration.automation.settings import Automation


@dataclass(frozen=True)
class Launches:
    """What was asked for last.

    Attributes
    ----------
    work
        Digest of the work; empty when there was none.
    changes
        How often the work has become another.
    attempts
        How often this work was asked for.
    ended_seen
        When its last attempt was first seen to have ended, in seconds of the clock; 0 before.
    """

    work: str = ""
    changes: int = 0
    attempts: int = 0
    ended_seen: float = 0.0

    @classmethod
    def parse(cls, cursor: str | None) -> Launches:
        """What a cursor holds; nothing, when it was reset."""
        return cls(**json.loads(cursor)) if cursor else cls()

    def __str__(self) -> str:
        return json.dumps(asdict(self))

    def nothing_to_do(self) -> Launches:
        """There is no work now; should the same come back, it is new."""
        return replace(self, work="", attempts=0, ended_seen=0.0)

    @property
    def run_key(self) -> str:
        """Names this attempt at this work."""
        return f"{self.work[:16]}-{self.changes}-{self.attempts}"

    def next(self, work: str, now: float, automation: Automation) -> tuple[Launches, str | None]:
        """What to remember, and why the work is not begun now; None when it is.

        Parameters
        ----------
        work
            Digest of the work there is, while no run is under way.
        now
            Seconds of the clock. When it was set back, the wait begins anew; it never is endless.
        automation
            How long to wait, and how often to try.
        """
        if work != self.work:
            return Launches(work, self.changes + 1, 1), None
        if self.attempts >= automation.attempts:
            return self, (
                f"{self.attempts} runs ended before this was made, so it waits for somebody who "
                "looks: `mosaic status` says what it is, `mosaic run` tries again."
            )
        wait = automation.wait_before(self.attempts + 1)
        ended = self.ended_seen
        if not 0 < ended <= now:
            ended = now
        if now - ended < wait:
            seconds = round(wait - (now - ended))
            return replace(self, ended_seen=ended), (
                f"The last run ended before this was made; next attempt in {seconds} s."
            )
        return replace(self, attempts=self.attempts + 1, ended_seen=0.0), None
