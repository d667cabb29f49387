/**
 * Custom Token Exchange: a session id of the legacy system becomes a user of this tenant.
 *
 * The legacy system is asked whose session it is: POST {"session": "..."} answers 200 {"user_id": "...",
 * "email": "...", "email_verified": true, "name": "..."}, or 404 when there is no such session.
 *
 * subject_token_type: @TYPE@
 * Dependencies: none
 * Secrets: LEGACY_API_KEY
 */
const LOOKUP_URL = @URL@;
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
  const session = event.transaction.subject_token;
  // Session ids of the legacy system; anything else is not worth a request.
  if (!/^[A-Za-z0-9_-]{16,256}$/.test(session)) {
    api.access.rejectInvalidSubjectToken("The token is not a session of the legacy system.");
    return;
  }
  let claims;
  try {
    claims = await lookUp(session, event.secrets.LEGACY_API_KEY);
  } catch (error) {
    console.log(`look-up failed: ${error.name} ${error.message}`);
    // Not the token's fault: a rejection would count against the address that sent it.
    api.access.deny("server_error", "The legacy system cannot be asked at the moment.");
    return;
  }
  if (claims === null) {
    api.access.rejectInvalidSubjectToken("The legacy system has no such session.");
    return;
  }
//#include set-user
};

async function lookUp(session, key) {
  if (!key) throw new Error("LEGACY_API_KEY is missing");
  const response = await fetch(LOOKUP_URL, {
    method: "POST",
    headers: { accept: "application/json", "content-type": "application/json", authorization: `Bearer ${key}` },
    body: JSON.stringify({ session }),
    // A redirect would carry the session and the key elsewhere.
    redirect: "error",
    signal: AbortSignal.timeout(TIMEOUT_MS),
  });
  if (response.status === 404) return null;
  if (response.status !== 200) throw new Error(`status ${response.status}`);
  const user = parseObject(await response.text());
  if (!isText(user.user_id, 255)) throw new Error("user_id is missing");
  return user;
}
//#include parse-object
//#include helpers
