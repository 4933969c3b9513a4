// The draft's editor: says that something is not saved, asks before it is lost, Ctrl+S saves.
const form = document.querySelector("[data-editor]");
const mark = form?.querySelector("[data-unsaved]");
let changed = false;

if (form && mark) {
  form.addEventListener("input", () => {
    changed = true;
    mark.hidden = false;
  });
  form.addEventListener("submit", (event) => {
    if (event.defaultPrevented) return;
    changed = false;
    // A second click must not save twice: the buttons' names are sent before they are switched off.
    setTimeout(() => form.querySelectorAll("button").forEach((button) => (button.disabled = true)));
  });
  addEventListener("pageshow", () => form.querySelectorAll("button").forEach((button) => (button.disabled = false)));
  addEventListener("beforeunload", (event) => {
    if (changed) event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s") {
      event.preventDefault();
      form.requestSubmit(form.querySelector(".save-bar .primary"));
    }
  });
}
// A link to a field in a closed part opens it.
function reveal() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const part = target?.closest?.("details");
  if (part) part.open = true;
  if (target?.matches?.("input, textarea, select")) target.focus();
}
addEventListener("hashchange", reveal);
reveal();
