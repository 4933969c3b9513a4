// What a visitor sees and uses. Words are put in as text, never as markup.
function make(tag, part, { text, ...attributes } = {}) {
  const element = document.createElement(tag);
  if (part) element.part.add(part);
  if (part) element.className = part;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

class View {
  // on: talk(), write(), end(), mute(on), send(text)
  constructor(root, words, on) {
    this.root = root;
    this.words = words;
    this.lines = new Map();
    styled(root);
    this.panel = make("section", "panel", { "aria-label": words.region });
    const head = make("div", "head");
    this.title = make("p", "title", { text: words.agent });
    head.append(make("span", "indicator", { "aria-hidden": "true" }), this.title);
    this.status = make("p", "status", { role: "status", "aria-live": "polite" });
    const actions = make("div", "actions");
    this.talk = this.button("talk", words.talk, on.talk, "primary");
    this.writeTo = this.button("write", words.write, on.write);
    this.muter = this.button("mute", words.mute, () => {
      const muted = this.muter.getAttribute("aria-pressed") !== "true";
      this.muter.setAttribute("aria-pressed", String(muted));
      on.mute(muted);
    });
    this.muter.setAttribute("aria-pressed", "false");
    this.ender = this.button("end", words.end, on.end);
    actions.append(this.talk, this.writeTo, this.muter, this.ender);
    this.log = make("div", "log", { role: "log", "aria-live": "polite", "aria-label": words.log, tabindex: "0" });
    this.log.part.add("transcript");
    this.form = this.makeForm(on.send);
    this.panel.append(head, this.status, actions, this.log, this.form);
    root.replaceChildren(this.panel);
    this.offer({ voice: false, text: false });
  }

  button(part, text, act, kind = "") {
    const button = make("button", part, { type: "button", text });
    if (kind) button.classList.add(kind);
    button.addEventListener("click", act);
    return button;
  }

  makeForm(send) {
    const form = make("form", "form");
    const row = make("div", "row");
    this.input = make("input", "input", { id: "message", type: "text", maxlength: "1000", autocomplete: "off", enterkeyhint: "send" });
    const submit = make("button", "send", { type: "submit", text: this.words.send });
    row.append(this.input, submit);
    form.append(make("label", "label", { for: "message", text: this.words.message }), row);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const text = this.input.value.trim();
      if (!text) return;
      this.input.value = "";
      send(text);
    });
    return form;
  }

  say(word) {
    const text = this.words[word] ?? this.words.unavailable;
    if (this.status.textContent !== text) this.status.textContent = text;
  }

  // Before and after a conversation: the ways that there are to begin one.
  offer(ways, again = false) {
    const held = this.root.activeElement;
    this.isTalking = false;
    this.talk.hidden = !ways.voice;
    this.writeTo.hidden = !ways.text;
    this.talk.textContent = again ? this.words.again_talk : this.words.talk;
    this.writeTo.textContent = again ? this.words.again_write : this.words.write;
    this.talk.disabled = this.writeTo.disabled = false;
    this.muter.hidden = this.ender.hidden = this.form.hidden = true;
    if (held && held !== this.log) (ways.voice ? this.talk : this.writeTo).focus();
  }

  wait() {
    this.clear();
    this.talk.disabled = this.writeTo.disabled = true;
    this.ender.hidden = false;
    this.ender.focus();
  }

  // In a conversation: typing goes with speaking, too.
  converse(mode, writes) {
    if (this.isTalking) return;
    this.isTalking = true;
    const held = this.root.activeElement;
    this.talk.hidden = this.writeTo.hidden = true;
    this.muter.hidden = mode !== "voice";
    this.muter.setAttribute("aria-pressed", "false");
    this.form.hidden = !writes;
    if (held && mode === "text") this.input.focus();
  }

  clear() {
    this.lines.clear();
    this.log.replaceChildren();
  }

  said({ id, who, text, done }) {
    if (!text.trim()) return;
    let line = this.lines.get(id);
    if (!line) {
      line = make("div", "line");
      line.classList.add(who);
      line.append(make("span", "who", { text: this.words[who] }), make("span", "text"));
      this.lines.set(id, line);
      this.log.append(line);
    }
    // Told to those who listen when the sentence is whole, not piece by piece.
    this.log.setAttribute("aria-busy", String(!done));
    line.lastChild.textContent = text;
    this.log.scrollTop = this.log.scrollHeight;
  }
}
