/**
 * Checks a signed token of the old system, "USER.EXPIRES.SIGNATURE", and names its user.
 *
 * EXPIRES is in Unix seconds. SIGNATURE is the HMAC-SHA256 of "USER.EXPIRES", by the secret LEGACY_KEY, in hex.
 */
const crypto = require("crypto");

const MAX_LENGTH = 300;
const LIFETIME = 60; // seconds that the old system gives a token
const PATTERN = /^([a-z0-9_-]{1,100})\.([0-9]{10})\.([0-9a-f]{64})$/;

exports.onExecuteCustomTokenExchange = async (event, api) => {
  const token = readToken(event.transaction.subject_token, event.secrets.LEGACY_KEY);
  if (token === null) {
    // Counts against the caller's IP address: ten of these block it.
    api.access.rejectInvalidSubjectToken("The old system did not issue this token, or it has expired.");
    return; // a denial does not end the function by itself
  }

  // Best effort: the cache may forget, so keep the lifetime of the tokens short as well.
  if (api.cache.get(token.signature.slice(0, 64)) !== undefined) {
    api.access.rejectInvalidSubjectToken("The token was used before.");
    return;
  }
  api.cache.set(token.signature.slice(0, 64), "used", { ttl: 2 * LIFETIME * 1000 });

  api.authentication.setUserByConnection(
    "legacy",
    { user_id: token.user, email: `${token.user}@legacy.example`, email_verified: false },
    { creationBehavior: "create_if_not_exists", updateBehavior: "none" }
  );
};

/** Returns {user, signature}, or null for everything that the old system did not issue within the last minute. */
function readToken(text, key) {
  if (typeof text !== "string" || text.length > MAX_LENGTH) return null;
  const match = PATTERN.exec(text);
  if (match === null) return null;
  const [, user, expires, signature] = match;

  const expected = crypto.createHmac("sha256", key).update(`${user}.${expires}`).digest();
  if (!crypto.timingSafeEqual(expected, Buffer.from(signature, "hex"))) return null;

  const now = Date.now() / 1000;
  if (Number(expires) <= now || Number(expires) > now + LIFETIME + 30) return null;
  return { user, signature };
}
