"""How well the audit tells who is who, on a generated export with known truth."""
