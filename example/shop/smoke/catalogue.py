"""The simple kinds: a read, a write, an async test."""

from __future__ import annotations

from smoketest import SmokeTest, tag

from shop.models import Product


@tag("database")
class CatalogueTest(SmokeTest):
    """A tag on a class is on each of its tests."""

    def test_products_can_be_read(self) -> None:
        """There is something to sell."""
        self.assertTrue(Product.objects.exists(), "no product: was the catalogue imported?")

    def test_products_can_be_written(self) -> None:
        """A product can be saved and found again."""
        Product.objects.create(name="Smoke", slug="smoke-test", price="1.00")  # rolled back
        self.assertEqual(Product.objects.get(slug="smoke-test").name, "Smoke")

    def test_every_price_is_positive(self) -> None:
        """Nothing is given away."""
        for product in Product.objects.all():
            with self.subTest(product=product.slug):
                self.assertGreater(product.price, 0)

    async def test_products_can_be_read_by_async_code(self) -> None:
        """The asynchronous ORM reaches the same database."""
        self.assertGreater(await Product.objects.acount(), 0)
