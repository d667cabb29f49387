// Exchanges, refreshes and revokes at the tenant of the environment, and prints what it saw as JSON.
import * as client from "openid-client";

const { AUTH0_DOMAIN, AUTH0_CLIENT_ID, AUTH0_CLIENT_SECRET } = process.env;
const config = await client.discovery(new URL(AUTH0_DOMAIN), AUTH0_CLIENT_ID, AUTH0_CLIENT_SECRET);
const exchanged = await client.genericGrantRequest(config, "urn:ietf:params:oauth:grant-type:token-exchange", {
  subject_token: "a-subject-token",
  subject_token_type: "urn:acme:legacy",
  scope: "openid offline_access",
});
const refreshed = await client.refreshTokenGrant(config, exchanged.refresh_token);
const user = await client.fetchUserInfo(config, refreshed.access_token, refreshed.claims().sub);
await client.tokenRevocation(config, refreshed.refresh_token, { token_type_hint: "refresh_token" });
let afterwards;
try {
  await client.refreshTokenGrant(config, refreshed.refresh_token);
} catch (error) {
  afterwards = error.error;
}
console.log(
  JSON.stringify({
    issuer: config.serverMetadata().issuer,
    exchanged: exchanged.claims(),
    refreshed: refreshed.claims(),
    rotated: exchanged.refresh_token !== refreshed.refresh_token,
    user: user.sub,
    afterwards,
  }),
);
