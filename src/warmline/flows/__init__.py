"""Use cases, one a module: what Warmline does, in order, over the ledger."""
