/**
 * Exchanges an opaque token by asking who issued it (RFC 7662).
 *
 * Secrets: INTROSPECTION_URL, CLIENT_ID, CLIENT_SECRET.
 */
exports.onExecuteCustomTokenExchange = async (event, api) => {
  const { INTROSPECTION_URL, CLIENT_ID, CLIENT_SECRET } = event.secrets;
  let reply;
  try {
    const response = await fetch(INTROSPECTION_URL, {
      method: "POST",
      headers: { authorization: `Basic ${Buffer.from(`${CLIENT_ID}:${CLIENT_SECRET}`).toString("base64")}` },
      body: new URLSearchParams({ token: event.transaction.subject_token }),
      redirect: "error",
      signal: AbortSignal.timeout(2000),
    });
    if (!response.ok) throw new Error(`status ${response.status}`);
    reply = await response.json();
  } catch (error) {
    console.error("introspection failed:", error.message);
    api.access.deny("server_error", "The token cannot be checked now.");
    return;
  }
  if (reply.active !== true || typeof reply.sub !== "string") {
    api.access.rejectInvalidSubjectToken("The token is not active.");
    return;
  }
  const scopes = String(reply.scope ?? "").split(" ");
  if (!event.transaction.requested_scopes.every((scope) => scope === "openid" || scopes.includes(scope))) {
    api.access.deny("invalid_scope", "The token does not cover the requested scopes.");
    return;
  }
  api.authentication.setUserById(reply.sub);
  if (reply.act !== undefined) api.authentication.setActor(reply.act);
};
