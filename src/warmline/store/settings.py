"""Django's settings, made of Warmline's own (`warmline.config.settings`)."""

from __future__ import annotations

from warmline.config.settings import database, read

_settings = read()

SECRET_KEY = _settings.secret_key
DEBUG = False
ALLOWED_HOSTS = ["*"]  # the gate in warmline.web decides who may see what, by peer and path
ROOT_URLCONF = "warmline.web.urls"
INSTALLED_APPS = ["warmline.store", "warmline.web"]
MIDDLEWARE = ["warmline.web.gate.Gate"]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {"context_processors": []},
    }
]
DATABASES = {"default": database(_settings)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = True
LANGUAGE_CODE = "en"
# Of the pages for candidates: `warmline.web.catalogue`. Each needs a file there, but for English.
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
DEFAULT_CHARSET = "utf-8"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
LOGGING_CONFIG = None
EMAIL_USE_LOCALTIME = False
