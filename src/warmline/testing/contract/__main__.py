"""`python -m warmline.testing.contract golden|new NAME`: what a connector's author types.

`make golden` and `make connector` type it.
"""

from __future__ import annotations

import sys

from warmline.core.errors import WarmlineError
from warmline.testing.contract import subject_of
from warmline.testing.contract.golden import update
from warmline.testing.contract.new import lay_out

USAGE = "usage: python -m warmline.testing.contract golden|new NAME\n"


def main(arguments: list[str]) -> int:
    if len(arguments) != 2 or arguments[0] not in ("golden", "new"):
        sys.stderr.write(USAGE)
        return 2
    verb, name = arguments
    try:
        told = lay_out(name) if verb == "new" else _golden(name)
    except WarmlineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(told)
    return 0


def _golden(name: str) -> str:
    return "".join(f"wrote {path}\n" for path in update(subject_of(name))) or "nothing changed\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
