from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from shop.forms import OrderForm
from shop.models import Product
from shop.ordering import OutOfStock, place_order
from visits.models import Visit


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    return render(request, "shop/home.html", {"products": Product.objects.all()})


@require_http_methods(["GET", "POST"])
def product(request: HttpRequest, slug: str) -> HttpResponse:
    found = get_object_or_404(Product, slug=slug)
    form = OrderForm(request.POST or None)
    if form.is_valid():
        return order(request, found, form)
    Visit.objects.create(path=request.path)
    return render(request, "shop/product.html", {"product": found, "form": form})


def order(request: HttpRequest, found: Product, form: OrderForm) -> HttpResponse:
    try:
        place_order(found, **form.cleaned_data)
    except OutOfStock as error:
        messages.error(request, f"Sorry: {error}.")
    else:
        messages.success(request, "Thank you for your order.")
    return redirect(found)
