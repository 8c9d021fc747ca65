// Gives each example a button that copies it.
for (const block of document.querySelectorAll(".docs-body pre")) {
  const code = block.querySelector("code");
  if (!navigator.clipboard || !/language-(bash|js|python)/.test(code.className)) {
    continue;
  }
  const button = document.createElement("button");
  button.type = "button";
  button.className = "docs-copy";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Copying failed";
    }
    setTimeout(() => {
      button.textContent = "Copy";
    }, 2000);
  });
  const box = document.createElement("div");
  box.className = "docs-example";
  block.replaceWith(box);
  box.append(button, block);
}
