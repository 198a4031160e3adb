"""A folder that must be mounted and readable.

``SHOP_MEDIA_ROOT=/mnt/not-mounted manage.py smoketest`` shows what a failure looks like.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from django.conf import settings
from smoketest import SmokeTest, optional, tag, timeout

from shop.models import Product


@tag("photos")
@timeout(3)  # a file server that hangs is a failure after 3 seconds, not a report that never comes
class PhotosTest(SmokeTest):
    runbook = "https://wiki.example.com/shop/photos"

    def test_folder_is_mounted(self) -> None:
        """The folder with the photos is there, and not empty."""
        folder = Path(settings.MEDIA_ROOT)
        self.assertTrue(folder.is_dir(), f"{folder} is missing")
        self.assertTrue(any(folder.iterdir()), f"{folder} is empty")

    def test_photos_can_be_read(self) -> None:
        """The photo of every product can be opened."""
        for product in Product.objects.exclude(photo=""):
            with self.subTest(product=product.slug), product.photo.open("rb") as photo:
                self.assertTrue(photo.read(1), "the file is empty")

    @optional
    def test_there_is_space_for_more(self) -> None:
        """Less than 1 % left is worth a warning; it does not stop a deploy."""
        usage = shutil.disk_usage(settings.MEDIA_ROOT)
        self.assertGreater(usage.free / usage.total, 0.01)
