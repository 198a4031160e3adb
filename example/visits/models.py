"""Who looked at what. Visits live in the ``analytics`` database."""

from __future__ import annotations

from django.db import models


class Visit(models.Model):
    path = models.CharField(max_length=200)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-at"]

    def __str__(self) -> str:
        return f"{self.path} at {self.at:%Y-%m-%d %H:%M}"
