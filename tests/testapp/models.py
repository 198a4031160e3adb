"""What tests write, to see whether it is left."""

from __future__ import annotations

from django.db import models


class Item(models.Model):
    """A row of its own: no two have the same name."""

    name = models.CharField(max_length=100, unique=True)

    def __str__(self) -> str:
        return self.name


class Part(models.Model):
    """A row that hangs on another, for cascades and constraint checks."""

    item = models.ForeignKey(Item, models.CASCADE, related_name="parts")
    label = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.label
