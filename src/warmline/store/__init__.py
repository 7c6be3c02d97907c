"""The one ledger: Django models, migrations, and the few SQL queries that must be fast."""
