"""Placing an order: the one thing that must never break."""

from __future__ import annotations

from functools import partial

from django.core.mail import send_mail
from django.db import transaction
from django.db.models import F

from shop.models import Order, Product


class OutOfStock(Exception):
    """There are fewer pieces left than were ordered."""


@transaction.atomic
def place_order(product: Product, *, email: str, quantity: int = 1) -> Order:
    """Take ``quantity`` pieces out of stock and return the order.

    The confirmation is mailed when the transaction has been committed. Raises
    ``OutOfStock``, and changes nothing, where too few pieces are left.
    """
    enough = Product.objects.filter(pk=product.pk, stock__gte=quantity)
    if not enough.update(stock=F("stock") - quantity):
        raise OutOfStock(f"fewer than {quantity} pieces of {product} are left")
    order = Order.objects.create(
        product=product, email=email, quantity=quantity, price=product.price
    )
    transaction.on_commit(partial(confirm, order))
    return order


def confirm(order: Order) -> None:
    """Mail the confirmation of ``order``."""
    send_mail("Your order", f"Thank you: {order}", None, [order.email])
