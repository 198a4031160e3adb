"""Pages, asked for in this process through ``self.client``."""

from __future__ import annotations

from django.contrib.auth import get_user_model
from django.urls import reverse
from smoketest import SmokeTest

from shop.models import Order, Product


class PagesTest(SmokeTest):
    def test_home_lists_products(self) -> None:
        """The first page shows a product."""
        product = Product.objects.earliest("pk")
        self.assertContains(self.client.get(reverse("shop:home")), product.name)

    def test_product_can_be_ordered(self) -> None:
        """A visitor can order; the order is rolled back, and its mail never sent."""
        product = Product.objects.create(name="Smoke", slug="smoke-page", price="1.00", stock=1)
        response = self.client.post(
            product.get_absolute_url(), {"email": "smoke@example.com", "quantity": 1}
        )
        self.assertRedirects(response, product.get_absolute_url())
        self.assertTrue(Order.objects.filter(product=product).exists())

    def test_unknown_product_is_not_found(self) -> None:
        self.assertEqual(self.client.get("/products/no-such-thing/").status_code, 404)


class AdminTest(SmokeTest):
    def test_visitors_are_asked_to_log_in(self) -> None:
        response = self.client.get(reverse("admin:index"))
        self.assertRedirects(response, f"{reverse('admin:login')}?next={reverse('admin:index')}")

    def test_staff_sees_products(self) -> None:
        """The user is made for this test only and is gone after it."""
        user = get_user_model().objects.create_superuser("smoke-test")
        self.client.force_login(user)
        response = self.client.get(reverse("admin:shop_product_changelist"))
        self.assertContains(response, Product.objects.earliest("pk").name)
