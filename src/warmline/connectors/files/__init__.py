"""An ATS's exports as a source: CSV, TSV, XLSX, JSON and JSON lines."""
