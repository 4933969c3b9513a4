// <trunkline-agent agent="wg_..." server="https://box"></trunkline-agent>
// States (attribute `state`, event `trunkline-state`): idle, connecting, microphone-refused, listening, speaking,
// ended, unavailable, limit-reached.
const STATE_OF = {
  ended: "ended",
  microphone_refused: "microphone-refused",
  no_microphone: "microphone-refused",
  insecure: "microphone-refused",
  visitor_limit: "limit-reached",
  agent_limit: "limit-reached",
  quota_reached: "limit-reached",
  at_capacity: "limit-reached",
  busy: "limit-reached",
};
const WORD_OF = {
  agent_limit: "busy",
  at_capacity: "busy",
  quota_reached: "nobody",
  not_published: "nobody",
};

class TrunklineAgent extends HTMLElement {
  #view = null;
  #session = null;
  #ways = { voice: false, text: false };
  #leaving = () => this.#session?.leave();

  connectedCallback() {
    if (!this.shadowRoot) this.attachShadow({ mode: "open" });
    this.#view = new View(this.shadowRoot, wordsFor(this), {
      talk: () => this.#begin("voice"),
      write: () => this.#begin("text"),
      end: () => this.#session?.end("caller"),
      mute: (on) => this.#session?.mute(on).catch(() => {}),
      send: (text) => this.#session?.write(text).catch(() => this.#session?.end("caller", "unavailable")),
    });
    addEventListener("pagehide", this.#leaving);
    this.#open();
  }

  disconnectedCallback() {
    removeEventListener("pagehide", this.#leaving);
    this.#session?.leave();
    this.#session = null;
  }

  get state() {
    return this.getAttribute("state") ?? "idle";
  }

  get #server() {
    return (this.getAttribute("server") ?? SERVER).replace(/\/+$/, "");
  }

  get #agent() {
    return encodeURIComponent(this.getAttribute("agent") ?? "");
  }

  get #visitor() {
    try {
      return localStorage.getItem(`trunkline-visitor-${this.#agent}`);
    } catch {
      return null; // the page or the browser keeps nothing; the visitor is a new one each time
    }
  }

  set #visitor(token) {
    try {
      localStorage.setItem(`trunkline-visitor-${this.#agent}`, token);
    } catch {
      // As above.
    }
  }

  #show(state, word) {
    const before = this.getAttribute("state");
    this.setAttribute("state", state);
    this.#view.say(word);
    if (before !== state) {
      this.dispatchEvent(new CustomEvent("trunkline-state", { detail: { state }, bubbles: true, composed: true }));
    }
  }

  async #open() {
    this.#show("idle", "idle");
    try {
      const told = await ask(this.#server, `${this.#agent}/open`, { visitor: this.#visitor });
      this.#visitor = told.visitor;
      this.#ways = { voice: told.voice, text: told.text };
      this.#view.title.textContent = told.title;
      this.#view.panel.setAttribute("aria-label", told.title);
      this.#view.offer(this.#ways);
    } catch (error) {
      this.#fail(error);
    }
  }

  async #begin(mode) {
    if (this.#session) return;
    const view = this.#view;
    const session = new Session(this.#server, this.#agent, mode, {
      word: (name) => view.words[name],
      visitor: (token) => (this.#visitor = token),
      state: (state, word) => {
        if (state !== "connecting") view.converse(mode, this.#ways.text);
        this.#show(state, word);
      },
      said: (line) => view.said(line),
      over: (word) => {
        this.#session = null;
        view.offer(this.#ways, true);
        this.#show(STATE_OF[word] ?? "unavailable", WORD_OF[word] ?? word);
      },
    });
    this.#session = session;
    this.#show("connecting", "connecting");
    view.wait();
    try {
      await session.start(this.#visitor);
    } catch (error) {
      const code = error instanceof Refused ? error.code : "unavailable";
      await session.end("caller", code);
    }
  }

  #fail(error) {
    const code = error instanceof Refused ? error.code : "unavailable";
    this.#show(STATE_OF[code] ?? "unavailable", WORD_OF[code] ?? code);
  }
}

if (!customElements.get("trunkline-agent")) customElements.define("trunkline-agent", TrunklineAgent);
