"""`python -m bench.handing PROJECT seed|hand NUMBER`: a child of bench.data: so many nurture mails
that are due; or all that are due handed over by so many connections, as JSON with its times."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from warmline.cli.setup import open_project


def main() -> int:
    folder, what, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    open_project(folder)
    # Django must be set up first.
    from bench.due_mails import hand_over, seed

    if what == "seed":
        seed(number)
    else:
        print(json.dumps(hand_over(folder, number)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
