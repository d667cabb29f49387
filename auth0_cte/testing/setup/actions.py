"""Registering Actions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from auth0_cte.testing.actions.api import TRIGGER, ActionApi, Commands
from auth0_cte.testing.actions.code import Action, ActionFunction, PythonCode, check_secrets
from auth0_cte.testing.actions.guard import methods
from auth0_cte.testing.actions.javascript.node import find_node
from auth0_cte.testing.actions.javascript.pool import JavaScriptCode
from auth0_cte.testing.actions.post_login import TRIGGER as POST_LOGIN
from auth0_cte.testing.actions.post_login import PostLoginApi
from auth0_cte.testing.actions.post_login_commands import PostLoginCommands
from auth0_cte.testing.actions.profiles import check_profile_type

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from auth0_cte.testing.actions.records import CamelCase
    from auth0_cte.testing.setup.directory import DirectorySetup
    from auth0_cte.testing.state import TenantState

__all__ = ["ActionSetup"]

F = TypeVar("F", bound=ActionFunction)


class ActionSetup:
    """Registers Actions.

    Args:
        state: What the tenant holds.
        directory: Adds users.
    """

    def __init__(self, state: TenantState, directory: DirectorySetup) -> None:
        self._state, self._directory = state, directory

    def action(self, subject_token_type: str, *, secrets: Mapping[str, str] | None = None) -> Callable[[F], F]:
        """Decorate the Action of a Custom Token Exchange profile: a function of ``event`` and ``api``.

        Args:
            subject_token_type: The profile's type: a URI of 8 to 100 characters that begins with ``https://`` or
                ``urn:``, out of the namespaces that Auth0 reserves; another one is taken with a warning in the log.
                The Action registered last for a type holds.
            secrets: What the Action sees as ``event.secrets``.

        Raises:
            ValueError: A secret is too long, or the tenant is strict and Auth0 would refuse the type.
        """
        check_profile_type(subject_token_type, strict=self._state.strict)
        checked = check_secrets(secrets)

        def register(function: F) -> F:
            self._add_profile(subject_token_type, Action(PythonCode(function), checked))
            return function

        return register

    def action_file(
        self, subject_token_type: str, path: str | os.PathLike[str], *, secrets: Mapping[str, str] | None = None
    ) -> None:
        """Register a JavaScript file as the Action of a Custom Token Exchange profile, as it is deployed to Auth0.

        The file is CommonJS and exports an async function ``onExecuteCustomTokenExchange``. It runs in Node.js, with
        the packages that are installed beside it. A change of the file is taken up by the next exchange.

        Args:
            subject_token_type: The profile's type, as for `action`.
            path: The file.
            secrets: What the Action sees as ``event.secrets``.

        Raises:
            ConfigurationError: Node.js 18 or newer was not found.
            FileNotFoundError: The file does not exist.
            ValueError: As for `action`.
        """
        check_profile_type(subject_token_type, strict=self._state.strict)
        api = ActionApi(Commands(), self._state.actions.cache(TRIGGER))
        code = self._javascript(path, "onExecuteCustomTokenExchange", api)
        self._add_profile(subject_token_type, Action(code, check_secrets(secrets)))

    def accept(
        self,
        subject_token_type: str,
        user_id: str,
        *,
        actor: Mapping[str, Any] | None = None,
    ) -> None:
        """Register an Action that takes every subject token for the same user's.

        Args:
            subject_token_type: The profile's type, as for `action`.
            user_id: The user, who is added when there is none.
            actor: Who acts for the user, or None.
        """
        if user_id not in self._state.users:
            self._directory.add_user(user_id)

        def exchange(_event: Any, api: Any) -> None:
            api.authentication.set_user_by_id(user_id)
            if actor is not None:
                api.authentication.set_actor(actor)

        self.action(subject_token_type)(exchange)

    def post_login(self, function: ActionFunction, *, secrets: Mapping[str, str] | None = None) -> None:
        """Add a Post-Login Action, which runs after those that are there.

        Args:
            function: A function of ``event`` and ``api``.
            secrets: What it sees as ``event.secrets``.

        Raises:
            ValueError: A secret is too long.
        """
        self._state.actions.post_login.append(Action(PythonCode(function), check_secrets(secrets)))

    def post_login_file(self, path: str | os.PathLike[str], *, secrets: Mapping[str, str] | None = None) -> None:
        """Add a JavaScript file as a Post-Login Action, which runs after those that are there.

        The file exports an async function ``onExecutePostLogin``; see `action_file`.

        Args:
            path: The file.
            secrets: What the Action sees as ``event.secrets``.

        Raises:
            ConfigurationError: Node.js 18 or newer was not found.
            FileNotFoundError: The file does not exist.
            ValueError: A secret is too long.
        """
        api = PostLoginApi(PostLoginCommands(), self._state.actions.cache(POST_LOGIN))
        code = self._javascript(path, "onExecutePostLogin", api)
        self._state.actions.post_login.append(Action(code, check_secrets(secrets)))

    def _add_profile(self, subject_token_type: str, action: Action) -> None:
        replaced = self._state.actions.profiles.get(subject_token_type)
        self._state.actions.profiles[subject_token_type] = action
        if replaced is not None:
            replaced.code.close()

    def _javascript(self, path: str | os.PathLike[str], handler: str, api: CamelCase) -> JavaScriptCode:
        file = Path(path).absolute()
        if not file.is_file():
            raise FileNotFoundError(f"the Action's file does not exist: {file}")
        actions = self._state.actions
        find_node(actions.node)
        return JavaScriptCode(file, handler, methods(api), lambda: actions.node)
