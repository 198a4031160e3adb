"""A class fixture, links to runbooks, and a service that may be absent."""

from __future__ import annotations

import unittest
from urllib.request import urlopen

from django.conf import settings
from smoketest import SmokeTest, tag, timeout

from shop.models import Order, Product
from shop.ordering import OutOfStock, place_order


class CheckoutTest(SmokeTest):
    """An order is placed once, for all tests of the class, and rolled back after them.

    No mail is sent: ``place_order`` mails on commit, and nothing is committed.
    """

    runbook = "https://wiki.example.com/shop/checkout"

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.product = Product.objects.create(
            name="Smoke", slug="smoke-checkout", price="10.00", stock=3
        )
        cls.order = place_order(cls.product, email="smoke@example.com", quantity=2)

    def test_order_is_saved(self) -> None:
        self.assertEqual(Order.objects.get(pk=self.order.pk).quantity, 2)

    def test_stock_goes_down(self) -> None:
        self.product.refresh_from_db()
        self.assertEqual(self.product.stock, 1)

    def test_what_is_not_there_cannot_be_ordered(self) -> None:
        with self.assertRaises(OutOfStock):
            place_order(self.product, email="smoke@example.com", quantity=2)


class PaymentTest(SmokeTest):
    """What another company runs gets a limit of its own and a tag to leave it out by."""

    runbook = "https://wiki.example.com/shop/payment"

    @tag("network")
    @timeout(3)
    @unittest.skipUnless(settings.SHOP_PAYMENT_URL, "SHOP_PAYMENT_URL is not set")
    def test_provider_answers(self) -> None:
        """The payment provider says that it is well."""
        with urlopen(settings.SHOP_PAYMENT_URL, timeout=2) as response:
            self.assertEqual(response.status, 200)
