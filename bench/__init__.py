"""How fast Warmline is: `python -m bench`, or `make bench`."""
