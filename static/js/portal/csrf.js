// The token that a request with a cookie needs to change something (docs/accounts.md). It says in
// which mode the page was drawn, because another tab may have changed the mode since.
export function csrfToken() {
  const name = "csrf_access_token=";
  const cookie = document.cookie.split("; ").find((pair) => pair.startsWith(name));
  if (cookie === undefined) return document.querySelector("input[name=csrf_token]")?.value ?? "";
  const token = decodeURIComponent(cookie.slice(name.length));
  return pageMode() === "test" ? `test.${token}` : token;
}

/** The mode in which this page was drawn: "live" or "test". */
export function pageMode() {
  return document.querySelector("[data-mode]")?.dataset.mode ?? "live";
}
