/**
 * Exchanges the session of a legacy application: base64url(JSON) "." base64url(HMAC-SHA256 of the first part).
 *
 * Secrets: SESSION_KEY.
 */
const { createHmac, timingSafeEqual } = require("crypto");

const MAX_AGE_SECONDS = 3600;

function verify(token, key) {
  const [payload, signature, ...more] = token.split(".");
  if (!payload || !signature || more.length > 0) return undefined;
  const expected = createHmac("sha256", key).update(payload).digest();
  const given = Buffer.from(signature, "base64url");
  if (given.toString("base64url") !== signature) return undefined; // one spelling alone
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
  try {
    return JSON.parse(Buffer.from(payload, "base64url").toString());
  } catch {
    return undefined;
  }
}

exports.onExecuteCustomTokenExchange = async (event, api) => {
  const session = verify(event.transaction.subject_token, event.secrets.SESSION_KEY);
  if (session === undefined || typeof session.user !== "string" || !Number.isFinite(session.iat)) {
    api.access.rejectInvalidSubjectToken("The session is invalid.");
    return;
  }
  const age = Date.now() / 1000 - session.iat;
  if (age < 0 || age > MAX_AGE_SECONDS) {
    api.access.deny("session_expired", "The session has expired. Log in again.");
    return;
  }
  api.authentication.setUserByConnection(
    "legacy",
    { user_id: session.user, email: session.email, email_verified: true },
    { creationBehavior: "create_if_not_exists", updateBehavior: "none" },
  );
  api.user.setAppMetadata("migrated", true);
};
