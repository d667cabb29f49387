"""The refresh tokens that are out, and the families that rotation makes of them.

Source: Auth0, "Refresh Token Rotation" and "Configure Refresh Token Rotation"; RFC 9700 section 4.14.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING, Any, Final

from attrs import define, field

from auth0_cte.testing.actions.records import ABSENT
from auth0_cte.testing.actions.refresh_token import RefreshTokenChanges
from auth0_cte.testing.issued.tokens import TokenGrant
from auth0_cte.testing.journal import iso_date
from auth0_cte.testing.wire.messages import RefusalError

if TYPE_CHECKING:
    from collections.abc import Callable

    from auth0_cte.testing.session_settings import SessionSettings
    from auth0_cte.testing.wire.messages import TenantRequest

__all__ = ["RefreshTokens", "invalid_refresh_token"]

MAX_LIVE: Final = 200
"""How many live tokens a user and an application have at most (Auth0, "Refresh Tokens", limitations)."""


@define
class _Family:
    """All tokens that descend from one login, which Auth0 calls one refresh token."""

    since: float
    used: float
    device: dict[str, str] = field(factory=dict)
    metadata: dict[str, str] = field(factory=dict)
    expires_at: float | None = None
    idle_expires_at: float | None = None
    exchanged_at: float | None = None
    id: str = field(factory=lambda: secrets.token_hex(12))
    tokens: list[str] = field(factory=list)

    def change(self, changes: RefreshTokenChanges) -> None:
        """Do what Actions asked for; a date can be brought forward, not put off."""
        self.metadata = dict(changes.metadata)
        self.idle_expires_at = changes.idle_expires_at
        if changes.expires_at is not None:
            self.expires_at = min(changes.expires_at, self.expires_at or changes.expires_at)


@define
class _Issued:
    grant: TokenGrant
    family: _Family
    parent: _Issued | None = None
    rotated: float | None = None  # when it was first used up
    superseded: bool = False  # whether a token that came of it was used up, too


class RefreshTokens(MutableMapping[str, TokenGrant]):
    """What was granted, by refresh token; those that rotation used up are not seen. Safe among threads.

    Setting an item begins a family of its own, as a login does; deleting one forgets the token.

    Args:
        clock: Returns Unix seconds.
        settings: Lifetime and leeway.
    """

    def __init__(self, clock: Callable[[], float], settings: SessionSettings) -> None:
        self._clock, self._settings = clock, settings
        self._lock = threading.RLock()
        self._issued: dict[str, _Issued] = {}

    def __getitem__(self, token: str) -> TokenGrant:
        issued = self._issued[token]
        if issued.rotated is not None:
            raise KeyError(token)
        return issued.grant

    def __setitem__(self, token: str, grant: TokenGrant) -> None:
        with self._lock:
            self._add(token, _Issued(grant, _Family(self._clock(), self._clock())))

    def __delitem__(self, token: str) -> None:
        with self._lock:
            del self._issued[token]

    def __iter__(self) -> Iterator[str]:
        with self._lock:
            return iter([token for token, issued in self._issued.items() if issued.rotated is None])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __repr__(self) -> str:
        return f"<RefreshTokens: {len(self)}>"  # the tokens are credentials

    def issue(self, grant: TokenGrant, request: TenantRequest) -> str:
        """Make the first token of a login.

        Args:
            grant: What it stands for, and what Actions asked for it.
            request: The request that it answers.
        """
        token = _new_token()
        with self._lock:
            self[token] = grant
            family = self._issued[token].family
            family.device = _device("initial", request) | _device("last", request)
            if grant.refresh_token is not None:
                family.change(grant.refresh_token)
            self._drop_oldest(grant)
        return token

    def changes(self, token: str) -> RefreshTokenChanges:
        """Return what Actions see of a token that `use` let pass, and change."""
        with self._lock:
            issued = self._issued[token]
            family, grant = issued.family, issued.grant
            view = {
                "id": family.id,
                "client_id": grant.application.client_id,
                "created_at": iso_date(family.since),
                "device": dict(family.device),
                "expires_at": _date_or_absent(self._end(family)),
                "idle_expires_at": _date_or_absent(self._idle_end(family)),
                "last_exchanged_at": _date_or_absent(family.exchanged_at),
                "metadata": dict(family.metadata),
                "rotating": self._settings.rotate_refresh_tokens,
                "session_id": grant.sid,
                "user_id": grant.user.user_id,
            }
            return RefreshTokenChanges(view=view, metadata=dict(family.metadata))

    def exchanged(self, token: str, request: TenantRequest, changes: RefreshTokenChanges | None) -> None:
        """Note a refresh, which keeps the token alive.

        Args:
            token: The token.
            request: The request that brought it.
            changes: What Actions asked for, or None.
        """
        with self._lock:
            family = self._issued[token].family
            family.used = family.exchanged_at = self._clock()
            family.device |= _device("last", request)
            family.change(changes or RefreshTokenChanges(metadata=family.metadata))

    def use(self, token: str, client_id: str) -> TokenGrant:
        """Return what a token stands for. A token that comes again costs its family, as at Auth0.

        Args:
            token: The token.
            client_id: The application that sent it.

        Raises:
            RefusalError: It is unknown, another application's, expired, or was used up before.
        """
        with self._lock:
            return self._check(token, client_id).grant

    def rotate(self, token: str, client_id: str) -> str:
        """Use a token up.

        Returns:
            The token that takes its place.

        Raises:
            RefusalError: As for `use`.
        """
        with self._lock:
            issued = self._check(token, client_id)
            issued.rotated = self._clock() if issued.rotated is None else issued.rotated
            if issued.parent is not None:
                issued.parent.superseded = True
            following = _new_token()
            self._add(following, _Issued(issued.grant, issued.family, parent=issued))
            return following

    def revoke_token(self, token: str, client_id: str) -> TokenGrant | None:
        """Revoke a token and the family that it belongs to; the whole grant, if the tenant is set so.

        Args:
            token: The token, used up or not.
            client_id: The application that sent it.

        Returns:
            What it stood for; None when it was dead already.

        Raises:
            RefusalError: It is another application's.
        """
        with self._lock:
            issued = self._issued.get(token)
            if issued is None:
                return None
            if issued.grant.application.client_id != client_id:
                detail = "the refresh token is another application's"
                raise RefusalError(400, "invalid_request", "Invalid refresh token.", detail=detail)
            self._forget(issued.family)
            if self._settings.revocation_deletes_grant:
                self._forget_grant(issued.grant)
            return issued.grant

    def revoke(self, user_id: str | None = None) -> int:
        """Revoke the tokens of a user, or all of them.

        Returns:
            How many there were.
        """
        with self._lock:
            revoked = [self._issued[token] for token in self if user_id in (None, self[token].user.user_id)]
            for issued in revoked:
                self._forget(issued.family)
            return len(revoked)

    def _add(self, token: str, issued: _Issued) -> None:
        self._issued[token] = issued
        issued.family.tokens.append(token)

    def _forget(self, family: _Family) -> None:
        for token in family.tokens:
            self._issued.pop(token, None)

    def _drop_oldest(self, grant: TokenGrant) -> None:
        """Keep what a user and an application may have: 200 live tokens, of which the oldest goes."""
        live = [each for each in self._issued.values() if each.rotated is None and _same_grant(each.grant, grant)]
        for issued in live[:-MAX_LIVE]:
            self._forget(issued.family)

    def _forget_grant(self, grant: TokenGrant) -> None:
        """Forget all families of a user and an application."""
        for issued in list(self._issued.values()):
            if _same_grant(issued.grant, grant):
                self._forget(issued.family)

    def _check(self, token: str, client_id: str) -> _Issued:
        issued = self._issued.get(token)
        if issued is None:
            raise invalid_refresh_token("the refresh token is unknown or revoked")
        user_id = issued.grant.user.user_id
        if issued.grant.application.client_id != client_id:
            raise invalid_refresh_token("the refresh token is another application's", user_id)
        if self._has_expired(issued.family):
            raise invalid_refresh_token("the refresh token has expired", user_id)
        if self._is_reused(issued):
            self._forget(issued.family)
            detail = "the refresh token was used before; its family is revoked"
            raise invalid_refresh_token(detail, user_id, log_type="ferrt")
        return issued

    def _has_expired(self, family: _Family) -> bool:
        ends = (self._end(family), self._idle_end(family))
        return any(end is not None and self._clock() >= end for end in ends)

    def _end(self, family: _Family) -> float | None:
        return _earliest(family.since, self._settings.refresh_token_lifetime, family.expires_at)

    def _idle_end(self, family: _Family) -> float | None:
        return _earliest(family.used, self._settings.refresh_token_idle_lifetime, family.idle_expires_at)

    def _is_reused(self, issued: _Issued) -> bool:
        # The leeway is for the token before the newest one alone: Auth0, "Configure Refresh Token Rotation".
        if issued.rotated is None:
            return False
        return issued.superseded or self._clock() >= issued.rotated + self._settings.refresh_token_leeway


def invalid_refresh_token(detail: str, user_id: str | None = None, *, log_type: str | None = None) -> RefusalError:
    """Make the one refusal that Auth0 has for every refresh token that it does not take."""
    return RefusalError(
        403, "invalid_grant", "Unknown or invalid refresh token.", detail=detail, user_id=user_id, log_type=log_type
    )


def _earliest(start: float, seconds: float | None, chosen: float | None) -> float | None:
    ends = [end for end in (None if seconds is None else start + seconds, chosen) if end is not None]
    return min(ends, default=None)


def _date_or_absent(date: float | None) -> Any:
    return ABSENT if date is None else iso_date(date)


def _device(when: str, request: TenantRequest) -> dict[str, str]:
    return {f"{when}_ip": request.ip, f"{when}_user_agent": request.headers.get("user-agent", "")}


def _same_grant(one: TokenGrant, other: TokenGrant) -> bool:
    return (one.user.user_id, one.application.client_id) == (other.user.user_id, other.application.client_id)


def _new_token() -> str:
    return f"v1.{secrets.token_urlsafe(40)}"
