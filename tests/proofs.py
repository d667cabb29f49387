"""Reads DPoP proofs by another implementation (joserfc), so that nothing of ours vouches for itself."""

from __future__ import annotations

import base64
import json
import warnings
from typing import Any

import joserfc.jwk
import joserfc.jws

from auth0_cte.testing import LocalTenant


def read(proof: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return header and claims of a proof whose signature is that of the key that it brings."""
    segment = proof.partition(".")[0]
    header = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # joserfc warns of the name EdDSA
        registry = joserfc.jws.JWSRegistry(algorithms=[header["alg"]])
        registry.max_header_length = 2048  # the header holds an RSA key
        opened = joserfc.jws.deserialize_compact(proof, joserfc.jwk.import_key(header["jwk"]), registry=registry)
    return header, json.loads(opened.payload)


def sent_to(tenant: LocalTenant) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return the proofs of all token requests, in order."""
    return [read(request.headers["dpop"]) for request in tenant.token_requests]


def unverified_claims(token: str) -> dict[str, Any]:
    """Return the claims of a JWT, unverified."""
    segment = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)))
    return claims
