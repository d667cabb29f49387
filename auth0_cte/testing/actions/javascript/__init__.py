"""Actions in JavaScript, run by Node.js as Auth0 runs them."""
