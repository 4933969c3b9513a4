// What every page does: theme, menu on small screens, forms that ask first, messages that follow a change.

const root = document.documentElement;

function nextTheme() {
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  return dark ? "light" : "dark";
}

document.querySelector("[data-theme-toggle]")?.addEventListener("click", () => {
  const theme = nextTheme();
  root.dataset.theme = theme;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `trunkline-theme=${theme}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
});

const menuButton = document.querySelector("[data-menu]");
menuButton?.addEventListener("click", () => {
  const open = menuButton.getAttribute("aria-expanded") !== "true";
  menuButton.setAttribute("aria-expanded", String(open));
  document.getElementById("menu").classList.toggle("open", open);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && menuButton?.getAttribute("aria-expanded") === "true") menuButton.click();
  // "/" goes to the search of the page, where there is one.
  const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    const search = document.querySelector("input[type=search]");
    if (search) {
      event.preventDefault();
      search.focus();
    }
  }
});

document.addEventListener("submit", (event) => {
  const question = event.submitter?.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit-on-change]")) event.target.form.requestSubmit();
});
document.addEventListener("click", async (event) => {
  const source = event.target.closest("[data-copy]");
  if (!source) return;
  await navigator.clipboard.writeText(source.dataset.copy);
  const before = source.textContent;
  source.textContent = "Copied";
  setTimeout(() => (source.textContent = before), 1500);
});
