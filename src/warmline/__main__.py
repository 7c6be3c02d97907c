"""`python -m warmline`."""

from warmline.cli.main import main

main()
