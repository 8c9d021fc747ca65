// The token that a request with a cookie needs to change something (docs/accounts.md).
export function csrfToken() {
  const name = "csrf_access_token=";
  const cookie = document.cookie.split("; ").find((pair) => pair.startsWith(name));
  if (cookie !== undefined) return decodeURIComponent(cookie.slice(name.length));
  return document.querySelector("input[name=csrf_token]")?.value ?? "";
}
