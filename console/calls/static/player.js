// The sound of a call: a waveform of both sides, and a transcript that follows it.
// Works on what the page holds already; without this script the audio element and the transcript stay usable.
"use strict";

const STEP_SECONDS = 5;
const BAR = 3;

class Player {
  constructor(root) {
    this.root = root;
    this.audio = root.querySelector("audio");
    this.canvas = root.querySelector("canvas");
    this.now = root.querySelector("[data-now]");
    this.state = root.querySelector("[data-peaks-state]");
    this.seconds = Number(root.dataset.seconds) || 0;
    this.peaks = [[], []];
    this.lines = [...document.querySelectorAll(`[data-line-of="${root.id}"]`)].map((button) => ({
      button,
      start: Number(button.dataset.start) / 1000,
      end: Number(button.dataset.end) / 1000,
    }));
    this.current = null;
    this.listen();
    this.loadPeaks();
  }

  listen() {
    const slider = this.canvas;
    slider.addEventListener("pointerdown", (event) => {
      slider.setPointerCapture(event.pointerId);
      this.seekTo(this.timeAt(event));
    });
    slider.addEventListener("pointermove", (event) => {
      if (slider.hasPointerCapture(event.pointerId)) this.seekTo(this.timeAt(event));
    });
    slider.addEventListener("keydown", (event) => this.onKey(event));
    this.audio.addEventListener("timeupdate", () => this.follow());
    this.audio.addEventListener("seeked", () => this.follow());
    this.audio.addEventListener("play", () => this.everyFrame());
    this.audio.addEventListener("error", () => this.tell("The recording cannot be played. Try again in a moment."));
    for (const line of this.lines) {
      line.button.addEventListener("click", () => {
        this.seekTo(line.start);
        this.audio.play().catch(() => this.tell("The recording cannot be played. Try again in a moment."));
      });
    }
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    new MutationObserver(() => this.draw()).observe(document.documentElement, { attributes: true });
  }

  async loadPeaks() {
    try {
      const answer = await fetch(this.root.dataset.peaks, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(String(answer.status));
      const body = await answer.json();
      this.peaks = body.channels;
      this.seconds = body.seconds || this.seconds;
      this.canvas.setAttribute("aria-valuemax", Math.round(this.seconds));
      this.tell("");
    } catch {
      this.tell("The waveform is not available; the sound may still play.");
    }
    this.draw();
  }

  tell(text) {
    this.state.textContent = text;
    this.state.hidden = !text;
  }

  onKey(event) {
    const step = { ArrowLeft: -STEP_SECONDS, ArrowRight: STEP_SECONDS, PageDown: -30, PageUp: 30 }[event.key];
    if (step !== undefined) this.seekTo(this.audio.currentTime + step);
    else if (event.key === "Home") this.seekTo(0);
    else if (event.key === "End") this.seekTo(this.seconds);
    else if (event.key === " " || event.key === "Enter") {
      if (this.audio.paused) this.audio.play().catch(() => this.tell("The recording cannot be played."));
      else this.audio.pause();
    } else return;
    event.preventDefault();
  }

  timeAt(event) {
    const box = this.canvas.getBoundingClientRect();
    return ((event.clientX - box.left) / box.width) * this.seconds;
  }

  seekTo(seconds) {
    this.audio.currentTime = Math.min(Math.max(seconds, 0), this.seconds);
    this.follow();
  }

  everyFrame() {
    this.follow();
    if (!this.audio.paused && !this.audio.ended) requestAnimationFrame(() => this.everyFrame());
  }

  follow() {
    const time = this.audio.currentTime;
    this.canvas.setAttribute("aria-valuenow", Math.round(time));
    this.canvas.setAttribute("aria-valuetext", clock(time));
    this.now.textContent = clock(time);
    const line = this.lines.findLast((each) => each.start <= time + 0.05 && time < each.end + 1) || null;
    if (line !== this.current) {
      if (this.current) this.current.button.removeAttribute("aria-current");
      if (line) {
        line.button.setAttribute("aria-current", "true");
        if (!this.audio.paused) line.button.scrollIntoView({ block: "nearest" });
      }
      this.current = line;
    }
    this.draw();
  }

  draw() {
    const { width, height } = this.canvas.getBoundingClientRect();
    if (!width) return;
    const scale = window.devicePixelRatio || 1;
    this.canvas.width = width * scale;
    this.canvas.height = height * scale;
    const context = this.canvas.getContext("2d");
    context.scale(scale, scale);
    const style = getComputedStyle(this.canvas);
    const heard = style.getPropertyValue("--wave-heard").trim() || style.color;
    const ahead = style.getPropertyValue("--wave-ahead").trim() || style.color;
    const lane = height / 2;
    const played = this.seconds ? (this.audio.currentTime / this.seconds) * width : 0;
    const bars = Math.floor(width / BAR);
    this.peaks.forEach((channel, side) => {
      const middle = lane * side + lane / 2;
      for (let bar = 0; bar < bars; bar += 1) {
        const from = Math.floor((bar / bars) * channel.length);
        const to = Math.max(from + 1, Math.floor(((bar + 1) / bars) * channel.length));
        const loud = Math.max(...channel.slice(from, to), 0);
        // A quiet voice must still be seen: the square root lifts it.
        const half = Math.max(0.5, (Math.sqrt(loud / 100) * (lane - 8)) / 2);
        context.fillStyle = bar * BAR < played ? heard : ahead;
        context.fillRect(bar * BAR, middle - half, BAR - 1, half * 2);
      }
    });
    context.fillStyle = style.color;
    context.fillRect(Math.min(played, width - 2), 0, 2, height);
  }
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

for (const root of document.querySelectorAll("[data-player]")) new Player(root);
