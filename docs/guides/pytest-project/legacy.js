exports.onExecuteCustomTokenExchange = async (event, api) => {
  const [user, proof] = event.transaction.subject_token.split(".");
  if (proof !== "good") return api.access.rejectInvalidSubjectToken("unknown session");
  api.authentication.setUserById(`auth0|${user}`);
};
