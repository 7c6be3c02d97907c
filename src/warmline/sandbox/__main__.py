"""`python -m warmline.sandbox`: the simulators as a process of their own."""

import sys

from warmline.sandbox.serve import main

if __name__ == "__main__":
    sys.exit(main())
