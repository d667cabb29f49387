//#if replay

/**
 * Tell whether a token was used before, and remember it until it expires.
 *
 * The cache is small and may forget: it makes replays hard, not impossible. Entries that expire soonest make room for
 * new ones. An issuer that counts uses itself is safer.
 */
function wasUsed(api, id, expiresAt) {
  const now = Math.floor(Date.now() / 1000);
  const digest = createHash("sha256").update(id).digest("base64url").slice(0, 22);
  const key = `used-${digest.charCodeAt(0) % 2}`;
  const record = api.cache.get(key);
  const entries = (record ? record.value : "").split(" ").filter((each) => parseInt(each.slice(22), 36) > now);
  if (entries.some((each) => each.startsWith(digest))) return true;
  entries.push(digest + Math.ceil(expiresAt).toString(36));
  entries.sort((one, other) => parseInt(one.slice(22), 36) - parseInt(other.slice(22), 36));
  const value = entries.slice(-120).join(" ");
  const result = api.cache.set(key, value, { ttl: (MAX_LIFETIME_SECONDS + 2 * CLOCK_SKEW_SECONDS) * 1000 });
  if (result.type === "error") console.log(`the token could not be remembered: ${result.code}`);
  return false;
}
//#endif
//#if by-connection

function attributesOf(claims) {
  const attributes = { user_id: claims.@USER_ID@ };
  for (const [name, longest] of [["email", 256], ["name", 300], ["nickname", 300], ["picture", 2048]]) {
    if (isText(claims[name], longest)) attributes[name] = claims[name];
  }
  // An address counts as verified only if the other system says exactly that.
  if (attributes.email !== undefined) attributes.email_verified = claims.email_verified === true;
  return attributes;
}
//#endif

function isText(value, longest) {
  return typeof value === "string" && value.trim() !== "" && value.length <= longest;
}
//#if delegation

/** Tell whether the actor, whose ID token Auth0 has verified, may act for users. */
function mayAct(event) {
  const { actor_token_type: type, actor_token_user: actor } = event.transaction;
  if (type !== ACTOR_TOKEN_TYPE || !actor || !actor.app_metadata) return false;
  return actor.app_metadata.can_act_for_users === true;
}
//#endif
