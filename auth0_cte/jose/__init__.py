"""The one door to JOSE: the only package that imports jwcrypto, which it is strict where that is lenient."""

from auth0_cte.jose.base import JoseError, NoKeyError, b64url_decode, b64url_encode
from auth0_cte.jose.private_keys import RemoteSigner, load_public_key, load_signing_key
from auth0_cte.jose.sealing import Sealer
from auth0_cte.jose.signing import Jws, KeySet, SigningKey, VerificationKey

__all__ = [
    "JoseError",
    "Jws",
    "KeySet",
    "NoKeyError",
    "RemoteSigner",
    "Sealer",
    "SigningKey",
    "VerificationKey",
    "b64url_decode",
    "b64url_encode",
    "load_public_key",
    "load_signing_key",
]
