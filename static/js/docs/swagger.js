// Loads Swagger UI when the reader asks for it, or when the address names an operation.
const start = document.querySelector("[data-swagger-start]");
const frame = document.querySelector("#swagger");

function load(tag, attributes) {
  return new Promise((resolve, reject) => {
    const element = Object.assign(document.createElement(tag), attributes);
    element.onload = resolve;
    element.onerror = reject;
    document.head.append(element);
  });
}

// Swagger UI brings a main part of its own, so the page's becomes a region.
function makeRegion(main) {
  const region = document.createElement("section");
  region.id = main.id;
  region.className = "docs-body docs-body--wide";
  region.tabIndex = -1;
  region.setAttribute("aria-labelledby", "swagger-title");
  region.append(...main.childNodes);
  main.replaceWith(region);
}

async function show() {
  start.disabled = true;
  start.textContent = "Loading…";
  try {
    await load("link", { rel: "stylesheet", href: frame.dataset.style });
    await load("script", { src: frame.dataset.script });
  } catch {
    start.disabled = false;
    start.textContent = "Loading failed. Try again";
    return;
  }
  document.querySelector("[data-swagger-intro]").remove();
  makeRegion(document.querySelector("main"));
  frame.hidden = false;
  window.SwaggerUIBundle({
    url: frame.dataset.document,
    dom_id: "#swagger",
    deepLinking: true,
    persistAuthorization: false,
    validatorUrl: null,
  });
}

start.hidden = false;
start.addEventListener("click", show);
if (location.hash.startsWith("#/")) {
  show();
}
