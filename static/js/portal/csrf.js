// The token that a request by cookie needs when it changes something (docs/accounts.md).
export function csrfToken() {
  const name = "csrf_access_token=";
  const found = document.cookie.split("; ").find((one) => one.startsWith(name));
  if (found !== undefined) return decodeURIComponent(found.slice(name.length));
  return document.querySelector("input[name=csrf_token]")?.value ?? "";
}
