/**
 * Custom Token Exchange: a JWT of another issuer becomes a user of this tenant.
 *
 * subject_token_type: @TYPE@
 * Dependencies: jose 5 (version 6 is an ES module, which Node 18 cannot require)
 * Secrets: none
 */
const { createRemoteJWKSet, errors, jwtVerify } = require("jose");
//#if replay
const { createHash } = require("node:crypto");
//#endif

const ISSUER = @ISSUER@;
const JWKS_URL = @JWKS_URL@;
const AUDIENCE = @AUDIENCE@;
// Never taken from the token: a token that chooses its own algorithm verifies itself.
const ALGORITHMS = ["RS256", "PS256", "ES256"];
// A token that lives longer is refused: it is a proof of a login that just happened, not a session.
const MAX_LIFETIME_SECONDS = 300;
const CLOCK_SKEW_SECONDS = 10;
//#include settings

// Made once an instance; it caches the keys, and fetches new ones for an unknown kid at most every 30 seconds.
const keys = createRemoteJWKSet(new URL(JWKS_URL), { timeoutDuration: 4000, cooldownDuration: 30000 });

exports.onExecuteCustomTokenExchange = async (event, api) => {
//#if delegation
  if (!mayAct(event)) {
    api.access.deny("access_denied", "The actor may not act for users.");
    return;
  }
//#endif
  let claims;
  try {
    claims = await verify(event.transaction.subject_token);
  } catch (error) {
    console.log(`refused: ${error.code || error.message}`);
    if (isOutage(error)) {
      // Not the token's fault: a rejection would count against the address that sent it.
      api.access.deny("server_error", "The issuer's keys cannot be fetched.");
    } else {
      api.access.rejectInvalidSubjectToken("The token is not acceptable.");
    }
    return;
  }
  if (wasUsed(api, `${ISSUER} ${claims.jti}`, claims.exp + CLOCK_SKEW_SECONDS)) {
    api.access.rejectInvalidSubjectToken("The token was used before.");
    return;
  }
//#include set-user
};

async function verify(token) {
  const { payload } = await jwtVerify(token, keys, {
    algorithms: ALGORITHMS,
    issuer: ISSUER,
    audience: AUDIENCE,
    requiredClaims: ["sub", "exp", "iat", "jti"],
    maxTokenAge: MAX_LIFETIME_SECONDS,
    clockTolerance: CLOCK_SKEW_SECONDS,
  });
  if (payload.exp - payload.iat > MAX_LIFETIME_SECONDS) throw new Refusal("it lives too long");
  if (!isText(payload.sub, 255) || !isText(payload.jti, 255)) throw new Refusal("sub or jti is unusable");
  return payload;
}

class Refusal extends Error {}

function isOutage(error) {
  if (error instanceof Refusal) return false;
  // Every fault of a token is an error of jose with a code of its own; the rest came from the network.
  return !(error instanceof errors.JOSEError) || OUTAGES.includes(error.code);
}

const OUTAGES = ["ERR_JWKS_TIMEOUT", "ERR_JWKS_INVALID", "ERR_JOSE_GENERIC"];
//#include helpers
