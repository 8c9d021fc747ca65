// Shows the API's document in Swagger UI; the page's policy allows no inline script.
window.SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#swagger",
  deepLinking: true,
  persistAuthorization: false,
  validatorUrl: null,
});
