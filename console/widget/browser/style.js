// Its looks: everything by custom properties and parts, so that a page gives it its own colours and shapes.
const STYLE = `
:host {
  --_accent: var(--trunkline-accent, light-dark(#0b6b5d, #63d0b8));
  --_accent-ink: var(--trunkline-accent-ink, light-dark(#ffffff, #08231d));
  --_surface: var(--trunkline-surface, light-dark(#ffffff, #1a211e));
  --_ink: var(--trunkline-ink, light-dark(#16211e, #e8eeeb));
  --_quiet: var(--trunkline-quiet, light-dark(#52605b, #a5b3ad));
  --_line: var(--trunkline-line, light-dark(#7d8985, #84938d));
  --_soft: var(--trunkline-soft, light-dark(#e0f0ec, #17352e));
  --_focus: var(--trunkline-focus, light-dark(#0f5fd0, #8ab8ff));
  --_radius: var(--trunkline-radius, 10px);
  display: block; max-width: 30rem; color: var(--_ink);
  font: var(--trunkline-font, 400 1rem/1.5 system-ui, "Segoe UI", "Noto Sans", "DejaVu Sans", sans-serif);
}
:host([hidden]), [hidden] { display: none !important; }
*, *::before, *::after { box-sizing: border-box; }
.panel { background: var(--_surface); border: 1px solid var(--_line); border-radius: var(--_radius); padding: 1rem; }
.head { display: flex; align-items: center; gap: .6rem; }
.title { font-size: 1.1em; font-weight: 650; margin: 0; }
.indicator { width: .8rem; height: .8rem; border-radius: 50%; border: 2px solid var(--_quiet); flex: none; }
:host([state="listening"]) .indicator { border-color: var(--_accent); }
:host([state="speaking"]) .indicator { border-color: var(--_accent); background: var(--_accent); }
.status { margin: .4rem 0 .8rem; color: var(--_quiet); min-height: 1.5em; }
.actions { display: flex; flex-wrap: wrap; gap: .5rem; }
button {
  font: inherit; min-height: 2.75rem; min-width: 2.75rem; padding: .4rem 1rem; cursor: pointer;
  border: 1px solid var(--_line); border-radius: calc(var(--_radius) * .6); background: var(--_surface); color: var(--_ink);
}
button.primary { background: var(--_accent); border-color: var(--_accent); color: var(--_accent-ink); }
button:disabled { opacity: .6; cursor: default; }
:focus-visible { outline: 3px solid var(--_focus); outline-offset: 2px; }
.log { margin: 1rem 0 0; max-height: 18rem; overflow-y: auto; }
.log:empty { display: none; }
.line { margin: 0 0 .6rem; padding: .5rem .7rem; border-radius: calc(var(--_radius) * .6); overflow-wrap: anywhere; white-space: pre-wrap; }
.line.you { background: var(--_soft); margin-inline-start: 1.5rem; }
.line.agent { border: 1px solid var(--_line); margin-inline-end: 1.5rem; }
.who { display: block; font-size: .85em; color: var(--_quiet); }
.form { margin-top: 1rem; }
.form label { display: block; margin-bottom: .25rem; }
.row { display: flex; gap: .5rem; }
input {
  font: inherit; flex: 1; min-width: 0; min-height: 2.75rem; padding: .4rem .6rem; color: var(--_ink);
  background: var(--_surface); border: 1px solid var(--_line); border-radius: calc(var(--_radius) * .6);
}
@media (prefers-reduced-motion: no-preference) {
  :host([state="connecting"]) .indicator, :host([state="speaking"]) .indicator { animation: trunkline-beat 1.2s ease-in-out infinite; }
  @keyframes trunkline-beat { 50% { transform: scale(1.35); } }
}
@media (forced-colors: active) { .indicator { forced-color-adjust: none; } }
`;

function styled(root) {
  // A sheet made by script needs no permission of the page's style-src.
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  root.adoptedStyleSheets = [sheet];
}
