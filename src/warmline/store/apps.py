"""Names the ledger's tables: `warmline_delivery`, `warmline_event`, and so on."""

from django.apps import AppConfig


class StoreConfig(AppConfig):
    name = "warmline.store"
    label = "warmline"
    verbose_name = "Warmline's ledger"
    default_auto_field = "django.db.models.BigAutoField"
