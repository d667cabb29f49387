"""A shop whose customers come from a legacy system."""

from auth0_cte import ServerClient

LEGACY = "urn:shop:legacy-session"


def sign_in(auth0: ServerClient, legacy_session: str, cookies: dict[str, str]) -> str:
    """Log a customer in, and return who it is."""
    login = {"subject_token": legacy_session, "subject_token_type": LEGACY}
    return str(auth0.login_with_custom_token_exchange(login, {"cookies": cookies}).user["sub"])
