"""The hygiene audit: what is wrong with the records of an ATS, before anything is synced."""

from warmline.flows.audit.figures import Figures, Finding
from warmline.flows.audit.gate import Gate, gate_of, hits
from warmline.flows.audit.run import PHASES, Settings, audit, audit_connection, audit_export
from warmline.flows.audit.source import Reads
from warmline.flows.audit.writing import as_json

__all__ = [
    "PHASES",
    "Figures",
    "Finding",
    "Gate",
    "Reads",
    "Settings",
    "as_json",
    "audit",
    "audit_connection",
    "audit_export",
    "gate_of",
    "hits",
]
