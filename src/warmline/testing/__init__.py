"""What tests share that others may use too. Nothing of the product imports it."""
