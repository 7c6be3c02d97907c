"""The program, played ahead of time: the real flows on a copy of the ledger, with a virtual clock
and recording connectors.

There is no second engine. `play` moves the clock from one due time to the next and lets the engine
do what is due; `recorders` stand in for every system and keep what they are given; `gather` reads
from the copy what came of it; `compare` holds two versions of a project against each other; `page`
and `writing` show it.
"""
