"""`Auth0Backend`: users who have a session are users of Django, too."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any, Final

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.core.exceptions import FieldDoesNotExist

from auth0_cte.django.settings import creates_users, name_claims
from auth0_cte.oauth.domain import issuer_url
from auth0_cte.session.stores.contract import file_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from django.contrib.auth.base_user import AbstractBaseUser
    from django.db.models import Field
    from django.http import HttpRequest

    from auth0_cte.auth_types import Session
    from auth0_cte.foundation.untyped import Untyped as ModelBackend
else:
    from django.contrib.auth.backends import ModelBackend

__all__ = ["Auth0Backend"]

logger: Final = logging.getLogger("auth0_cte")

KEY_PREFIX: Final = "auth0-"
KEY_DIGITS: Final = 40
MAX_USERNAME: Final = 60


class Auth0Backend(ModelBackend):
    """Finds the user of an Auth0 session, by issuer and ``sub`` alone: never by an e-mail address or a name.

    ``AUTHENTICATION_BACKENDS = ["auth0_cte.django.backends.Auth0Backend", …]`` switches it on. ``request.auth0.login``
    then logs in at Django as well, and ``request.user`` is the user for as long as the Auth0 session lasts. Permissions
    are those of the database, as with `ModelBackend`.

    Attributes:
        create_users: Whether users who are not there yet are created, without a password and without permissions; when
            None, ``AUTH0_CTE["create_users"]``, which is True unless it is given, as with Django's `RemoteUserBackend`.
            With False the accounts are yours to make, under their `user_key`, and strangers are refused.
        key_field: The unique field of the user model that holds `user_key`; the model's ``USERNAME_FIELD`` when None.
    """

    create_users: bool | None = None
    key_field: str | None = None

    def authenticate(
        self,
        request: HttpRequest | None,  # noqa: ARG002 - named by Django
        auth0_session: Session | None = None,
    ) -> AbstractBaseUser | None:
        """Return the user of a session, or None when there is none who may log in.

        Args:
            request: The request.
            auth0_session: The session.
        """
        if auth0_session is None or auth0_session.domain is None:
            return None
        claims = auth0_session.user
        user = self._find_or_create(self.user_key(issuer_url(auth0_session.domain), claims["sub"]), claims)
        if user is None or not self.is_own(user) or not self.user_can_authenticate(user):
            logger.warning(
                "a login was refused: the user is %s", "unknown" if user is None else "inactive, or not Auth0's"
            )
            return None
        self.configure_user(user, claims)
        return user

    def admits(self, auth0_session: Session) -> bool:
        """Tell whether the user of a session may still log in, without creating or changing anybody.

        Args:
            auth0_session: The session.
        """
        if auth0_session.domain is None:
            return False
        user = self._find(self.user_key(issuer_url(auth0_session.domain), auth0_session.user["sub"]))
        if user is None:
            return self._creates()
        return self.is_own(user) and bool(self.user_can_authenticate(user))

    async def aauthenticate(
        self, request: HttpRequest | None, auth0_session: Session | None = None
    ) -> AbstractBaseUser | None:
        """Return the user of a session, as `authenticate` does."""
        user: AbstractBaseUser | None = await sync_to_async(self.authenticate)(request, auth0_session=auth0_session)
        return user

    @staticmethod
    def user_key(issuer: str, sub: str) -> str:
        """Return what a user is found by: 46 characters that every username field takes, the same for ever.

        It is a hash, because a ``sub`` may be longer than the field, have characters that usernames must not have, and
        differ from another one by case alone, which some databases do not see.

        Args:
            issuer: The issuer URL: ``https://tenant.auth0.com/``.
            sub: The user's id at Auth0: ``auth0|507f1f77``.
        """
        return KEY_PREFIX + file_name(f"{issuer} {sub}")[:KEY_DIGITS]

    def is_own(self, user: AbstractBaseUser) -> bool:
        """Tell whether an account that bears the key was made for it: one with a password is somebody else's.

        Who may choose a username could else lie in wait for another's first login.
        """
        return not (user.password and user.has_usable_password())

    def configure_user(self, user: AbstractBaseUser, claims: Mapping[str, Any]) -> None:
        """Store what the claims say of a user; called at each login, to be overridden.

        First name, last name, and the e-mail address if Auth0 has verified it: stored, as far as the model has such
        fields and they are not unique, and never looked up. Users who have neither name get `readable_name` as their
        first name; a field ``name`` of the model holds it, too.

        Args:
            user: The user, who has been saved; ``last_login`` is None at the first login.
            claims: The verified claims of the ID token.
        """
        email = claims.get("email") if claims.get("email_verified") is True else None
        given, family, readable = claims.get("given_name"), claims.get("family_name"), self.readable_name(claims)
        wanted = {
            "first_name": given or (None if family else readable),
            "last_name": family,
            "name": readable,
            user.get_email_field_name(): email,
        }
        changed = {name: value for name, value in wanted.items() if _is_news(user, name, value)}
        for name, value in changed.items():
            setattr(user, name, value)
        if changed:
            user.save(update_fields=list(changed))

    def readable_name(self, claims: Mapping[str, Any]) -> str | None:
        """Return a user's name for people to read, or None: never look anybody up by it, because others may choose it.

        It is the first that there is of ``AUTH0_CTE["name_claims"]``: ``name``, ``nickname`` and ``email`` unless they
        are given. An e-mail address counts if Auth0 has verified it.

        Args:
            claims: The verified claims of the ID token.
        """
        for name in name_claims():
            value = claims.get(name)
            if isinstance(value, str) and value.strip() and (name != "email" or claims.get("email_verified") is True):
                return value.strip()
        return None

    def _creates(self) -> bool:
        return creates_users() if self.create_users is None else self.create_users

    def _find(self, key: str) -> AbstractBaseUser | None:
        model = get_user_model()
        users = model._default_manager.filter(**{self.key_field or model.USERNAME_FIELD: key})  # noqa: SLF001 - documented
        found: AbstractBaseUser | None = users.first()
        return found

    def _find_or_create(self, key: str, claims: Mapping[str, Any]) -> AbstractBaseUser | None:
        found = self._find(key)
        if found is not None or not self._creates():
            return found
        model = get_user_model()
        field = self.key_field or model.USERNAME_FIELD
        new = {"password": make_password(None)}
        if field != model.USERNAME_FIELD:
            new[model.USERNAME_FIELD] = self._free_username(key, claims)
        found, _ = model._default_manager.get_or_create(**{field: key}, defaults=new)  # noqa: SLF001
        return found

    def _free_username(self, key: str, claims: Mapping[str, Any]) -> str:
        """Return a username that can be read and is not in use, for models that keep the key in another field."""
        readable = re.sub(r"[^\w.@+-]+", "-", self.readable_name(claims) or "").strip("-")[:MAX_USERNAME]
        model = get_user_model()
        users = model._default_manager  # noqa: SLF001 - Django's documented name
        candidates = (readable, f"{readable}-{key[-8:]}") if readable else ()
        return next((each for each in candidates if not users.filter(**{model.USERNAME_FIELD: each}).exists()), key)


def _is_news(user: Any, name: str, value: object) -> bool:
    if not isinstance(value, str) or not value or getattr(user, name, None) == value:
        return False
    try:
        field: Field = user._meta.get_field(name)  # noqa: SLF001 - Django's documented name
    except FieldDoesNotExist:
        return False
    return not field.unique and (field.max_length is None or len(value) <= field.max_length)
