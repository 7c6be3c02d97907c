"""Simulators of the vendors' APIs and a mail catcher, as real HTTP and SMTP servers on loopback.

They are part of the product: the demo, the tests, the benchmark and an operator's own rehearsals
talk to them exactly as they would to the vendors. Start them with `warmline.sandbox.serve.Sandbox`
or as a process of their own with `python -m warmline.sandbox`.
"""
