// The token that changes need when a script sends them.
export function formToken() {
  return document.querySelector("meta[name=csrf]")?.content ?? "";
}

// fetch for the console's own addresses; throws with the problem's own words.
export async function send(path, { method = "POST", body, headers = {} } = {}) {
  const json = body !== undefined && !(body instanceof FormData) && !(body instanceof URLSearchParams);
  const answer = await fetch(path, {
    method,
    body: json ? JSON.stringify(body) : body,
    credentials: "same-origin",
    headers: {
      accept: "application/json",
      "x-csrf-token": formToken(),
      ...(json ? { "content-type": "application/json" } : {}),
      ...headers,
    },
  });
  const text = await answer.text();
  const told = text && answer.headers.get("content-type")?.includes("json") ? JSON.parse(text) : null;
  if (!answer.ok) throw new Error(told?.detail ?? `The box answered ${answer.status}.`);
  return told;
}
