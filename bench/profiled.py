"""`python -m bench.profiled FILE ARGUMENTS`: `warmline ARGUMENTS`, every thread under cProfile, by
processor time. Its figures show where the time goes; they are not the figures to report."""

from __future__ import annotations

import cProfile
import pstats
import sys
import threading
import time
from types import FrameType
from typing import Any


def main() -> None:
    path = sys.argv.pop(1)
    profiles: list[cProfile.Profile] = []

    def begin(_frame: FrameType, _event: str, _argument: Any) -> None:
        """The first event in a new thread: from here on the profiler takes over."""
        mine = cProfile.Profile(time.thread_time)
        profiles.append(mine)
        mine.enable()

    threading.setprofile(begin)
    from warmline.cli.main import main as warmline

    try:
        warmline()
    finally:
        threading.setprofile(None)
        stats: pstats.Stats | None = None
        for profile in profiles:
            profile.create_stats()
            if profile.stats:
                stats = stats.add(profile) if stats else pstats.Stats(profile)
        if stats is not None:
            stats.dump_stats(path)


if __name__ == "__main__":
    main()
