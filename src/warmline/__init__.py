"""Warmline: the warm line between an applicant tracking system and a CRM."""

__version__ = "0.1.0"
