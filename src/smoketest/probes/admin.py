"""The pages of Django's admin render."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import router
from django.urls import NoReverseMatch, reverse
from django.utils.module_loading import import_string

from .subjects import Probe


class Admin(Probe):
    """Each registered model's list and its form for a new one render for a superuser.

    The superuser is made inside the transaction that is rolled back, and its session is
    ended, so that nothing is left in a cache either. Receivers of ``user_logged_in`` and
    ``user_logged_out`` are called.
    """

    _leaves = "nothing; what receivers of `user_logged_in` and `user_logged_out` do"
    site: str = "django.contrib.admin.site"
    """Dotted path of the ``AdminSite``."""

    @classmethod
    def subjects(cls) -> Iterable[str]:
        """The models, as ``auth.User``."""
        if not apps.is_installed("django.contrib.admin"):
            raise ValueError(
                "INSTALLED_APPS has no 'django.contrib.admin'. The probe looks at its pages."
                " Install the admin, or remove the probe."
            )
        return [model._meta.label for model in import_string(cls.site)._registry]

    def check_list(self, model: str) -> None:
        """The list of what there is renders."""
        self._renders(model, "changelist", "has_view_or_change_permission")

    def check_form(self, model: str) -> None:
        """The form for a new one renders."""
        self._renders(model, "add", "has_add_permission")

    def make_superuser(self) -> Any:
        """Return a superuser, written to the database. Override it where a user needs more."""
        user_model: Any = get_user_model()
        user = user_model(is_active=True, is_staff=True, is_superuser=True)
        name = f"smoketest-{uuid4().hex}"
        setattr(user, user_model.USERNAME_FIELD, name)
        user.set_unusable_password()
        users = user_model.objects.using(router.db_for_write(user_model))
        # In bulk, because that calls no receiver of post_save, which may send a mail.
        users.bulk_create([user])
        # MySQL does not tell the key of what is made in bulk.
        return user if user.pk else users.get(**{user_model.USERNAME_FIELD: name})

    def _renders(self, model: str, page: str, permission: str) -> None:
        site = import_string(self.site)
        path = self._path(site.name, model, page)
        self.client.force_login(self.make_superuser())
        self.addCleanup(self.client.logout)
        response = self.client.get(path)
        if response.status_code == 403:
            model_admin = site._registry[apps.get_model(model)]
            if not getattr(model_admin, permission)(response.wsgi_request):
                self.skipTest(f"The admin lets nobody see {path}.")
        if response.status_code != 200:
            self.fail(
                f"{path} answered {response.status_code} to a superuser. Its view, or a middleware"
                " such as one for a second factor, does not let it through. Open the page and look."
            )

    def _path(self, site: str, model: str, page: str) -> str:
        name = f"{site}:{model.replace('.', '_').lower()}_{page}"
        with self.explained(
            f"The admin has no page {name!r}",
            "Include the site's urls in ROOT_URLCONF, or name the right site.",
            NoReverseMatch,
        ):
            return reverse(name)
