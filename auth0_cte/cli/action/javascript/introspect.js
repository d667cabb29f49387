/**
 * Custom Token Exchange: an opaque token of another authorization server becomes a user of this tenant.
 *
 * The server is asked about it (OAuth 2.0 Token Introspection, RFC 7662).
 *
 * subject_token_type: @TYPE@
 * Dependencies: none
 * Secrets: INTROSPECTION_CLIENT_ID, INTROSPECTION_CLIENT_SECRET
 */
const INTROSPECTION_URL = @URL@;
// Who must have issued the token, and whom it must be for; as the introspection response names them.
const ISSUER = @ISSUER@;
const AUDIENCE = @AUDIENCE@;
const TIMEOUT_MS = 5000;
const MAX_RESPONSE_LENGTH = 65536;
//#include settings

exports.onExecuteCustomTokenExchange = async (event, api) => {
//#if delegation
  if (!mayAct(event)) {
    api.access.deny("access_denied", "The actor may not act for users.");
    return;
  }
//#endif
  const token = event.transaction.subject_token;
  if (!/^[\x21-\x7e]{1,4096}$/.test(token)) {
    api.access.rejectInvalidSubjectToken("The token is not acceptable.");
    return;
  }
  let claims;
  try {
    claims = await introspect(token, event.secrets);
  } catch (error) {
    console.log(`introspection failed: ${error.name} ${error.message}`);
    // Not the token's fault: a rejection would count against the address that sent it.
    api.access.deny("server_error", "The token cannot be checked at the moment.");
    return;
  }
  if (!isAcceptable(claims)) {
    api.access.rejectInvalidSubjectToken("The token is not active, or is not for this use.");
    return;
  }
//#include set-user
};

async function introspect(token, secrets) {
  const { INTROSPECTION_CLIENT_ID: id, INTROSPECTION_CLIENT_SECRET: secret } = secrets;
  if (!id || !secret) throw new Error("INTROSPECTION_CLIENT_ID or INTROSPECTION_CLIENT_SECRET is missing");
  // RFC 6749 section 2.3.1: both parts are form-encoded before they are joined.
  const credentials = Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString("base64");
  const response = await fetch(INTROSPECTION_URL, {
    method: "POST",
    headers: { accept: "application/json", authorization: `Basic ${credentials}` },
    body: new URLSearchParams({ token }),
    // A redirect would carry the token and the credentials elsewhere.
    redirect: "error",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (response.status !== 200) throw new Error(`status ${response.status}`);
  return parseObject(await response.text());
}

function isAcceptable(claims) {
  // Only the boolean: "true", 1 or a missing member are no active token.
  if (claims.active !== true || !isText(claims.sub, 255)) return false;
  const now = Date.now() / 1000;
  if (claims.exp !== undefined && !(Number.isFinite(claims.exp) && claims.exp > now)) return false;
  if (claims.nbf !== undefined && !(Number.isFinite(claims.nbf) && claims.nbf <= now + 10)) return false;
  const audiences = Array.isArray(claims.aud) ? claims.aud : [claims.aud];
  return claims.iss === ISSUER && audiences.includes(AUDIENCE);
}
//#include parse-object
//#include helpers
