"""HubSpot: the contact record that recruiters' marketing works with, and what its reader did."""
