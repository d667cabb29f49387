//#if by-connection
// The connection that holds the users; enable it for the application.
const CONNECTION = @CONNECTION@;
//#endif
//#if delegation
// Who may act for users: Auth0 users with app_metadata {"can_act_for_users": true}.
const ACTOR_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:id_token";
//#endif
