
function parseObject(text) {
  if (text.length > MAX_RESPONSE_LENGTH) throw new Error("the response is too long");
  const value = JSON.parse(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error("the response is no object");
  return value;
}
