//#if by-connection
  api.authentication.setUserByConnection(CONNECTION, attributesOf(claims), {
    creationBehavior: "create_if_not_exists",
    updateBehavior: "none",
  });
//#else
  // The user must exist: its Auth0 user id is what the token vouches for.
  api.authentication.setUserById(claims.@USER_ID@);
//#endif
//#if delegation
  api.authentication.setActor({ sub: event.transaction.actor_token_user.user_id });
//#endif
