"""Accounts as a Django application."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Who uses the service."""

    name = "marefia.accounts"
