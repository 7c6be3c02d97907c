"""Simulators of mail providers: the send APIs of Postmark, Mailgun, SendGrid and Resend."""
