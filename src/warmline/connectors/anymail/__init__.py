"""Mail by a provider: any of those that django-anymail knows."""
