"""The pure core: the words of the field and the rules between them.

No clock, no I/O, no logging, no Django: time, ids and chance come as arguments.
"""
