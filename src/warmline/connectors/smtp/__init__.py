"""Mail over SMTP: any mail server or relay that takes submissions."""
