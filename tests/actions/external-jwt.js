/**
 * Exchanges an ID token of another identity provider, verified against its JWKS.
 *
 * Secrets: ISSUER, AUDIENCE, JWKS_URI. npm: jose@5 (version 6 is an ES module only).
 */
const jose = require("jose");

const UNREACHABLE = new Set(["ERR_JWKS_TIMEOUT", "ERR_JOSE_GENERIC"]);
let keys; // fetched once an instance, and again for an unknown kid

exports.onExecuteCustomTokenExchange = async (event, api) => {
  keys ??= jose.createRemoteJWKSet(new URL(event.secrets.JWKS_URI));
  let claims;
  try {
    const verified = await jose.jwtVerify(event.transaction.subject_token, keys, {
      algorithms: ["RS256"],
      issuer: event.secrets.ISSUER,
      audience: event.secrets.AUDIENCE,
      requiredClaims: ["exp", "iat", "sub"],
    });
    claims = verified.payload;
  } catch (error) {
    if (UNREACHABLE.has(error.code) || !String(error.code).startsWith("ERR_J")) {
      api.access.deny("server_error", "The identity provider cannot be reached.");
      return;
    }
    console.log("refused:", error.code);
    api.access.rejectInvalidSubjectToken("The token is invalid.");
    return;
  }
  api.authentication.setUserById(`partner|${claims.sub}`);
};
