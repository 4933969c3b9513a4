// A call from this browser to the draft: the room's client is loaded when the call begins, not before.
const root = document.querySelector("[data-test-call]");
const part = (name) => document.querySelector(`[data-${name}]`);
const base = root.dataset.testCall;
const POLL_MS = 700;
const AGENT_SECONDS = 20;
const LEAVE_MS = 3000;
const WAITING = "Waiting for the agent …";
let call = null;

const say = (text) => (part("state").textContent = text);
const headers = () => ({
  accept: "application/json",
  "content-type": "application/json",
  "x-csrf-token": document.querySelector("meta[name=csrf]").content,
});

async function ask(path, options = {}) {
  const answer = await fetch(path, { credentials: "same-origin", headers: headers(), ...options });
  const text = await answer.text();
  const body = text && answer.headers.get("content-type")?.includes("json") ? JSON.parse(text) : null;
  if (!answer.ok) throw new Error(body?.detail ?? `The box answered ${answer.status}.`);
  return body;
}

function loadClient() {
  if (window.LivekitClient) return Promise.resolve(window.LivekitClient);
  return new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = root.dataset.client;
    script.onload = () => done(window.LivekitClient);
    script.onerror = () => failed(new Error("The room's client is not there. Run the set-up again."));
    document.head.append(script);
  });
}

class TestCall {
  constructor(client, grant) {
    this.client = client;
    this.grant = grant;
    this.room = new client.Room({ adaptiveStream: false, dynacast: false });
    this.began = null;
    this.over = false;
    this.timers = [];
  }

  async start() {
    const { RoomEvent, Track } = this.client;
    this.room
      .on(RoomEvent.TrackSubscribed, (track) => {
        if (track.kind === Track.Kind.Audio) part("audio").append(track.attach());
      })
      .on(RoomEvent.TrackUnsubscribed, (track) => track.detach().forEach((element) => element.remove()))
      .on(RoomEvent.ParticipantAttributesChanged, () => this.look())
      .on(RoomEvent.ParticipantConnected, () => this.look())
      .on(RoomEvent.Reconnecting, () => say("The connection was lost; trying again …"))
      .on(RoomEvent.Reconnected, () => say(this.began ? "In the call." : WAITING))
      .on(RoomEvent.Disconnected, () => this.end("agent"));
    // The agent asks its caller's side to hang up and to transfer: here that is this page.
    this.room.registerRpcMethod("trunkline.hangup", async () => {
      setTimeout(() => this.end("agent"), 200);
      return "{}";
    });
    this.room.registerRpcMethod("trunkline.transfer", async (request) => {
      const target = JSON.parse(request.payload || "{}").target || "the escalation target";
      say(`The agent would transfer the call to ${target} now.`);
      return JSON.stringify({ result: "failed", cause: 20, detail: "a test call is not transferred" });
    });
    await this.room.connect(this.grant.url, this.grant.token);
    await this.room.localParticipant.setMicrophoneEnabled(true, {
      echoCancellation: true,
      noiseSuppression: true,
      autoGainControl: true,
    });
    await this.room.startAudio();
    if (this.over) return;
    // The agent may have been there before the microphone was.
    if (!this.began) say(WAITING);
    this.timers.push(setInterval(() => this.tick(), 200), setInterval(() => this.watch(), POLL_MS));
    this.waitingSince = Date.now();
    this.look();
  }

  look() {
    if (this.began || this.over) return;
    const agent = [...this.room.remoteParticipants.values()].find((each) => each.attributes["trunkline.agent"]);
    if (!agent) return;
    this.began = Date.now();
    say("In the call. Speak.");
    ask(`${base}/${this.grant.call_id}/answered`, { method: "POST" }).catch(() => {});
  }

  tick() {
    part("meter").value = this.room.localParticipant.audioLevel ?? 0;
    if (!this.began) {
      if (Date.now() - this.waitingSince > AGENT_SECONDS * 1000) this.end("caller", "No agent took the call. Is a worker running?");
      return;
    }
    const seconds = Math.floor((Date.now() - this.began) / 1000);
    part("clock").textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    if (seconds >= this.grant.seconds) this.end("caller");
  }

  async watch() {
    if (this.watching) return;
    this.watching = true;
    try {
      const seen = await ask(`${base}/${this.grant.call_id}`);
      show(seen.turns);
      if (this.over && seen.outcome === "failed") say("The agent could not go on: an engine did not answer. Calls shows how far it came.");
    } catch {
      // The next look may succeed; the call itself does not need it.
    } finally {
      this.watching = false;
    }
  }

  stopTimers() {
    this.timers.forEach(clearInterval);
    this.timers = [];
  }

  async end(by, words = "The call is over. It is listed under Calls.") {
    if (this.over) return;
    this.over = true;
    call = null;
    this.stopTimers();
    buttons(false);
    say(words);
    // A room that does not answer keeps nobody from ending the call.
    await Promise.race([this.room.disconnect(), new Promise((done) => setTimeout(done, LEAVE_MS))]);
    part("audio").replaceChildren();
    try {
      await ask(`${base}/${this.grant.call_id}/end`, { method: "POST", body: JSON.stringify({ by }), keepalive: true });
    } catch {
      say(`${words} The box could not be told; it notices within minutes.`);
    }
    await this.watch();
  }
}

function show(turns) {
  const list = part("turns");
  part("nothing").hidden = turns.length > 0;
  turns.forEach((turn, place) => {
    const line = list.children[place] ?? list.appendChild(document.createElement("li"));
    const wanted = JSON.stringify(turn);
    if (line.dataset.seen === wanted) return;
    line.dataset.seen = wanted;
    const pieces = [];
    if (turn.caller) pieces.push(words("You", turn.caller, "caller"));
    if (turn.agent) pieces.push(words("Agent", turn.agent, "agent"));
    if (turn.stamps.first_audio_out !== undefined) {
      const time = document.createElement("p");
      time.className = "quiet";
      time.textContent = `Answer after ${Math.round(turn.stamps.first_audio_out)} ms`;
      pieces.push(time);
    }
    line.replaceChildren(...pieces);
  });
}

function words(who, text, kind) {
  const line = document.createElement("p");
  const name = document.createElement("b");
  line.className = kind;
  name.textContent = who;
  line.append(name, " ", text);
  return line;
}

function buttons(inCall) {
  part("start").hidden = inCall;
  part("start").disabled = false;
  part("end").hidden = !inCall;
  part("mute").hidden = !inCall;
  part("meter-line").hidden = !inCall;
}

part("start").addEventListener("click", async () => {
  part("start").disabled = true;
  part("turns").replaceChildren();
  say("Placing the call …");
  let placed = null;
  try {
    const client = await loadClient();
    // The question for the microphone comes before a place is taken.
    const sound = await navigator.mediaDevices.getUserMedia({ audio: true });
    sound.getTracks().forEach((track) => track.stop());
    placed = new TestCall(client, await ask(base, { method: "POST" }));
    call = placed;
    buttons(true);
    await placed.start();
  } catch (error) {
    const refused = error.name === "NotAllowedError" ? "The browser may not use the microphone. Allow it, then try again." : null;
    const text = refused ?? (error.name === "NotFoundError" ? "There is no microphone." : error.message);
    if (placed) await placed.end("caller", text);
    buttons(false);
    say(text);
  }
});
part("end").addEventListener("click", () => call?.end("caller"));
part("mute").addEventListener("click", async (event) => {
  const mute = event.target.getAttribute("aria-pressed") !== "true";
  await call?.room.localParticipant.setMicrophoneEnabled(!mute);
  event.target.setAttribute("aria-pressed", String(mute));
  event.target.textContent = mute ? "Unmute" : "Mute";
});
addEventListener("pagehide", () => call?.end("caller"));
