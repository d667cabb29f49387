/**
 * Custom Token Exchange: a session that the legacy system signed becomes a user of this tenant.
 *
 * The token is base64url(JSON) "." base64url(HMAC-SHA256 of what stands before the dot). The JSON has user_id,
 * exp (Unix seconds) and nonce, and may have email, email_verified, name and picture.
 *
 * subject_token_type: @TYPE@
 * Dependencies: none
 * Secrets: LEGACY_SECRET, and while it is being replaced LEGACY_SECRET_PREVIOUS
 */
const { createHash, createHmac, timingSafeEqual } = require("node:crypto");

// A token that lives longer is refused: it is a proof of a login that just happened, not a session.
const MAX_LIFETIME_SECONDS = 300;
const CLOCK_SKEW_SECONDS = 10;
const MIN_SECRET_LENGTH = 32;
//#include settings

exports.onExecuteCustomTokenExchange = async (event, api) => {
//#if delegation
  if (!mayAct(event)) {
    api.access.deny("access_denied", "The actor may not act for users.");
    return;
  }
//#endif
  const secrets = [event.secrets.LEGACY_SECRET, event.secrets.LEGACY_SECRET_PREVIOUS].filter(Boolean);
  if (secrets.length === 0 || secrets.some((each) => each.length < MIN_SECRET_LENGTH)) {
    console.log("LEGACY_SECRET is missing or shorter than 32 characters");
    api.access.deny("server_error", "The Action is not configured.");
    return;
  }
  const claims = read(event.transaction.subject_token, secrets);
  if (claims === null) {
    api.access.rejectInvalidSubjectToken("The legacy system did not issue this token, or it has expired.");
    return;
  }
  if (wasUsed(api, claims.nonce, claims.exp + CLOCK_SKEW_SECONDS)) {
    api.access.rejectInvalidSubjectToken("The token was used before.");
    return;
  }
//#include set-user
};

function read(token, secrets) {
  const parts = token.split(".");
  if (parts.length !== 2 || token.length > 8192) return null;
  const [payload, signature] = parts;
  const given = decode(signature);
  // The signature first: what is not signed is not looked at.
  if (given === null || !secrets.some((secret) => isSigned(payload, given, secret))) return null;
  const json = decode(payload);
  if (json === null) return null;
  let claims;
  try {
    claims = JSON.parse(json.toString("utf8"));
  } catch {
    return null;
  }
  if (typeof claims !== "object" || claims === null || Array.isArray(claims)) return null;
  return isCurrent(claims) && isText(claims.user_id, 255) && isText(claims.nonce, 255) ? claims : null;
}

function isSigned(payload, given, secret) {
  const expected = createHmac("sha256", secret).update(payload).digest();
  return given.length === expected.length && timingSafeEqual(given, expected);
}

function decode(text) {
  const bytes = Buffer.from(text, "base64url");
  // Node skips what is not base64url: one token must have one spelling.
  return bytes.length > 0 && bytes.toString("base64url") === text.replace(/=+$/, "") ? bytes : null;
}

function isCurrent(claims) {
  const now = Date.now() / 1000;
  if (!Number.isFinite(claims.exp)) return false;
  return claims.exp > now - CLOCK_SKEW_SECONDS && claims.exp <= now + MAX_LIFETIME_SECONDS + CLOCK_SKEW_SECONDS;
}
//#include helpers
