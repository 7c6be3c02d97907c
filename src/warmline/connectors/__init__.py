"""One folder a vendor. They see kit, ports and core, never each other."""
