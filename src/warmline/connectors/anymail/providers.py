"""What each provider wants and can, as a table. Their APIs and webhooks are django-anymail's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Provider:
    """`credentials`: anymail's name of each secret and ours; `settings` likewise; `required` are
    ours. `signing` and `inbound_signing`: what anymail calls the keys that webhooks are signed
    with. `metadata`: it tells our id again in its webhooks. `untracked`: its tracking can be
    turned off mail by mail. `inbound`: anymail reads its inbound webhook without asking for more.
    `keys_once`: the header that makes a repeated call the same call."""

    title: str
    credentials: Mapping[str, str] = field(default_factory=lambda: {"api_key": "api_key"})
    settings: Mapping[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ("api_key",)
    tracking_view: str = ""
    inbound_view: str = ""
    signing: str = ""
    inbound_signing: str = ""
    metadata: bool = True
    untracked: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    keys_once: str = ""
    of_the_view: tuple[str, ...] = ()  # settings that the webhook view is given too


PROVIDERS: Mapping[str, Provider] = {
    "amazon_ses": Provider(
        "Amazon SES", credentials={}, required=(),
        tracking_view="AmazonSESTrackingWebhookView",
    ),
    "brevo": Provider(
        "Brevo", tracking_view="BrevoTrackingWebhookView", inbound_view="BrevoInboundWebhookView",
        of_the_view=("api_key",),
    ),
    "mailersend": Provider(
        "MailerSend", credentials={"api_token": "api_key"}, metadata=False, untracked=True,
        tracking_view="MailerSendTrackingWebhookView",
        inbound_view="MailerSendInboundWebhookView",
        signing="signing_secret", inbound_signing="inbound_secret",
    ),
    "mailgun": Provider(
        "Mailgun", settings={"sender_domain": "sender_domain"}, untracked=True,
        tracking_view="MailgunTrackingWebhookView", inbound_view="MailgunInboundWebhookView",
        signing="webhook_signing_key", inbound_signing="webhook_signing_key",
    ),
    "mailjet": Provider(
        "Mailjet", credentials={"api_key": "api_key", "secret_key": "secret_key"}, untracked=True,
        required=("api_key", "secret_key"),
        tracking_view="MailjetTrackingWebhookView", inbound_view="MailjetInboundWebhookView",
    ),
    "mailtrap": Provider(
        "Mailtrap", credentials={"api_token": "api_key"},
        tracking_view="MailtrapTrackingWebhookView", signing="signing_secret",
    ),
    "mandrill": Provider(
        "Mandrill", untracked=True, tracking_view="MandrillCombinedWebhookView",
        inbound_view="MandrillCombinedWebhookView",
        signing="webhook_key", inbound_signing="webhook_key",
    ),
    "postal": Provider(
        "Postal", metadata=False, required=("api_key", "api_url"),
        tracking_view="PostalTrackingWebhookView", inbound_view="PostalInboundWebhookView",
        signing="webhook_key", inbound_signing="webhook_key",
    ),
    "postmark": Provider(
        "Postmark", credentials={"server_token": "api_key"}, untracked=True,
        settings={"message_stream": "message_stream"},
        headers={"X-PM-KeepID": "true"},  # or it puts a Message-ID of its own in the place of ours
        tracking_view="PostmarkTrackingWebhookView", inbound_view="PostmarkInboundWebhookView",
    ),
    "resend": Provider(
        "Resend", tracking_view="ResendTrackingWebhookView", signing="signing_secret",
        keys_once="Idempotency-Key",
    ),
    "scaleway": Provider(
        "Scaleway", credentials={"secret_key": "api_key"},
        settings={"project_id": "project_id", "region": "region"},
        required=("api_key", "project_id"),
    ),
    "sendgrid": Provider(
        "SendGrid", untracked=True, tracking_view="SendGridTrackingWebhookView",
        inbound_view="SendGridInboundWebhookView",
        signing="tracking_webhook_verification_key",
    ),
    "sparkpost": Provider(
        "SparkPost", settings={"subaccount": "subaccount"}, untracked=True,
        tracking_view="SparkPostTrackingWebhookView",
        inbound_view="SparkPostInboundWebhookView",
    ),
    "unisender_go": Provider(
        "Unisender Go", required=("api_key", "api_url"), untracked=True,
        tracking_view="UnisenderGoTrackingWebhookView", of_the_view=("api_key",),
    ),
}  # fmt: skip
