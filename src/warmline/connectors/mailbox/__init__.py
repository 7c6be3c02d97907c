"""An IMAP mailbox: bounces, complaints, answers."""
