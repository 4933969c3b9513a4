// One conversation: asks the server for a place, enters the room, and tells its listener what happens.
const AGENT_MS = 30_000;
const LEAVE_MS = 5_000;
const ASK_MS = 20_000;

class Refused extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}

async function reachable(server) {
  try {
    await fetch(`${server}/widget/v1/here`, { mode: "no-cors", credentials: "omit", cache: "no-store" });
    return true;
  } catch {
    return false;
  }
}

// A page of an origin that is not allowed may not read why: the browser keeps the answer from it.
async function ask(server, path, body, options = {}) {
  let answer;
  try {
    answer = await fetch(`${server}/widget/v1/${path}`, {
      method: "POST",
      mode: "cors",
      credentials: "omit",
      referrerPolicy: "no-referrer",
      headers: { accept: "application/json", "content-type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(ASK_MS),
      ...options,
    });
  } catch {
    throw new Refused((await reachable(server)) ? "origin_not_allowed" : "unreachable");
  }
  const text = await answer.text();
  let told = null;
  try {
    told = text ? JSON.parse(text) : null;
  } catch {
    // A page of a proxy, for example: the status says enough.
  }
  if (!answer.ok) throw new Refused(told?.code ?? `status_${answer.status}`);
  return told;
}

// Throws Refused with a word of its own when the browser does not give the microphone.
async function microphone() {
  if (!navigator.mediaDevices?.getUserMedia) throw new Refused(window.isSecureContext ? "no_microphone" : "insecure");
  try {
    const sound = await navigator.mediaDevices.getUserMedia({ audio: true });
    sound.getTracks().forEach((track) => track.stop());
  } catch (error) {
    throw new Refused(error.name === "NotFoundError" ? "no_microphone" : "microphone_refused");
  }
}

class Session {
  // listener: state(name, word), said({ id, who, text, done }), over(word)
  constructor(server, agent, mode, listener) {
    this.server = server;
    this.agent = agent;
    this.mode = mode;
    this.listener = listener;
    this.isOver = false;
    this.isBegun = false;
    this.timers = [];
    this.sounds = [];
    this.sent = 0;
  }

  async start(visitor) {
    if (this.mode === "voice") await microphone(); // the question comes before a place is taken
    if (this.isOver) return;
    this.grant = await ask(this.server, `${this.agent}/sessions`, { mode: this.mode, visitor });
    this.listener.visitor(this.grant.visitor);
    if (this.isOver) return void this.tellEnd("caller");
    this.room = new LivekitClient.Room({ adaptiveStream: false, dynacast: false });
    this.listen();
    await this.room.connect(this.grant.url, this.grant.token);
    if (this.mode === "voice") {
      const wanted = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
      await this.room.localParticipant.setMicrophoneEnabled(true, wanted);
      await this.room.startAudio();
    }
    this.timers.push(setTimeout(() => this.isBegun || this.end("caller", "nobody"), AGENT_MS));
    this.look();
  }

  listen() {
    const { RoomEvent, Track } = LivekitClient;
    const spoken = this.mode === "voice";
    this.room
      .on(RoomEvent.TrackSubscribed, (track) => {
        if (spoken && track.kind === Track.Kind.Audio) this.sounds.push(track.attach());
      })
      .on(RoomEvent.TrackUnsubscribed, (track) => track.detach())
      .on(RoomEvent.ParticipantAttributesChanged, () => this.look())
      .on(RoomEvent.ParticipantConnected, () => this.look())
      .on(RoomEvent.ParticipantDisconnected, () => this.timers.push(setTimeout(() => this.end("agent"), LEAVE_MS)))
      .on(RoomEvent.ActiveSpeakersChanged, (speakers) => {
        if (this.isBegun && spoken) this.speaks(speakers.some((each) => !each.isLocal));
      })
      .on(RoomEvent.Reconnecting, () => this.listener.state("connecting", "reconnecting"))
      .on(RoomEvent.Reconnected, () => this.speaks(false))
      .on(RoomEvent.Disconnected, () => this.end("agent"));
    this.room.registerTextStreamHandler("lk.transcription", (reader, from) => this.read(reader, from));
    // The agent asks its caller's side to hang up and to transfer: here that is this page.
    this.room.registerRpcMethod("trunkline.hangup", async () => {
      this.timers.push(setTimeout(() => this.end("agent"), 300));
      return "{}";
    });
    this.room.registerRpcMethod("trunkline.transfer", async () => {
      this.listener.said({ id: `note-${this.sent++}`, who: "agent", text: this.listener.word("transferred"), done: true });
      return JSON.stringify({ result: "failed", cause: 20, detail: "a visitor of a web site is not transferred" });
    });
  }

  look() {
    if (this.isBegun || this.isOver) return;
    const there = [...this.room.remoteParticipants.values()].some((each) => each.attributes["trunkline.agent"]);
    if (!there) return;
    this.isBegun = true;
    this.speaks(false);
    this.timers.push(setTimeout(() => this.end("caller"), this.grant.seconds * 1000));
    this.tell("answered", {}).catch(() => {});
  }

  speaks(on) {
    if (this.isOver || !this.isBegun) return;
    const spoken = this.mode === "voice";
    if (on) this.listener.state("speaking", spoken ? "speaking" : "writing");
    else this.listener.state("listening", spoken ? "listening" : "reading");
  }

  async read(reader, from) {
    const about = reader.info.attributes ?? {};
    const own = about["trunkline.speaker"] === "caller" || from.identity === this.room.localParticipant.identity;
    const line = { id: about["lk.segment_id"] ?? reader.info.id, who: own ? "you" : "agent", text: "", done: false };
    try {
      for await (const piece of reader) {
        line.text += piece;
        if (!own && this.mode === "text") this.speaks(true);
        this.listener.said({ ...line });
      }
    } catch {
      // The stream broke off with the connection; what came stays.
    }
    line.done = !own || about["lk.transcription_final"] === "true";
    this.listener.said({ ...line });
    if (!own && this.mode === "text") this.speaks(false);
  }

  async write(text) {
    this.listener.said({ id: `own-${this.sent++}`, who: "you", text, done: true });
    await this.room.localParticipant.sendText(text, { topic: "lk.chat" });
  }

  async mute(on) {
    await this.room.localParticipant.setMicrophoneEnabled(!on);
  }

  tell(what, more, options) {
    const body = { session: this.grant.session, ...more };
    return ask(this.server, `${this.agent}/sessions/${this.grant.call_id}/${what}`, body, options);
  }

  tellEnd(by, options) {
    return this.tell("end", { by }, options).catch(() => {}); // the box notices by itself when nobody is in the room
  }

  // The page goes: what needs no answer and no question beforehand.
  leave() {
    if (this.isOver) return;
    this.isOver = true;
    if (this.grant) this.tellEnd("caller", { keepalive: true, headers: { "content-type": "text/plain" } });
    this.room?.disconnect();
  }

  async end(by, word = "ended") {
    if (this.isOver) return;
    this.isOver = true;
    this.timers.forEach(clearTimeout);
    this.listener.over(word);
    await this.room?.disconnect();
    this.sounds.forEach((element) => element.remove());
    if (this.grant) await this.tellEnd(by);
  }
}
