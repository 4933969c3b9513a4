// Calls in progress follow the box: each event of a call fetches the piece of the page anew, at most twice a second.

const place = document.querySelector("[data-live]");
const PAUSE_MS = 500;
let waiting = null;
let busy = false;

async function refresh() {
  waiting = null;
  if (busy || document.hidden) return;
  busy = true;
  try {
    const answer = await fetch("/overview/live", { credentials: "same-origin" });
    if (answer.redirected || answer.status === 401) {
      location.reload();
      return;
    }
    if (answer.ok) {
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const focused = place.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      place.replaceChildren(...fresh.body.childNodes);
      if (focused) place.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
    }
  } catch {
    // The box is away for a moment; the event stream connects again by itself and asks again.
  } finally {
    busy = false;
  }
}

function soon() {
  if (waiting === null) waiting = setTimeout(refresh, PAUSE_MS);
}

if (place) {
  const events = new EventSource("/api/v1/events");
  events.onopen = soon;
  events.onmessage = soon;
  for (const kind of ["started", "changed", "turn", "ended", "lost"]) events.addEventListener(kind, soon);
  document.addEventListener("visibilitychange", () => !document.hidden && soon());
  addEventListener("pagehide", () => events.close());
}
