// The wiring diagram's behaviour.  Gradio calls this once with (element, trigger, props, watch).
// Every listener sits on the root, so it outlives each new drawing.  Events sent to Python:
//   trigger("select", {block})      trigger("cut", {block, wire, gain, gains})
//   trigger("gain", {block, wire, gain, gains})
// `gains` holds every wire that is not at 1, so the last event alone says all.
const root = element;
const STEP = 0.25, PATIENCE = 12000, PER_GAIN = 90, MOST = 2;
const wanted = new Map(); // key -> gain: shown already, not yet answered
let drag = null, muteClick = false, focused = null, patience = 0, calm = 0;

const part = (name) => root.querySelector("." + name);
const marked = (attribute, value) =>
  [...root.querySelectorAll(`[${attribute}]`)].filter((n) => n.getAttribute(attribute) === value);
const wireOf = (node) => node.closest(".wire[data-wire]");
const gainOf = (wire) => Number(wire.dataset.gain);

function show(key, gain) {
  for (const wire of marked("data-key", key).filter((n) => n.matches(".wire"))) {
    wire.dataset.gain = gain;
    wire.classList.toggle("cut", gain === 0);
    wire.classList.toggle("turned", gain !== 0 && gain !== 1);
    const width = Number(wire.dataset.width) * gain;
    wire.querySelector(".rest").setAttribute("stroke-width", Math.max(1.4, width).toFixed(2));
    wire.querySelector(".gain text").textContent = "×" + Number(gain.toFixed(2));
    wire.querySelector(".hit").setAttribute("aria-checked", String(gain !== 0));
  }
}

function gains() {
  const all = {};
  for (const wire of root.querySelectorAll(".wide .wire[data-wire]")) {
    if (gainOf(wire) === 1) continue;
    (all[wire.dataset.block] ||= {})[wire.dataset.wire] = gainOf(wire);
  }
  return all;
}

function send(event, wire, gain) {
  const { key, block } = wire.dataset;
  wanted.set(key, gain);
  show(key, gain);
  wait();
  trigger(event, { block, wire: wire.dataset.wire, gain, gains: gains() });
}

function cut(wire) { send("cut", wire, gainOf(wire) === 0 ? 1 : 0); }

function turn(wire, gain) {
  const kept = Math.min(MOST, Math.max(0, Math.round(gain * 100) / 100));
  if (kept !== gainOf(wire)) send("gain", wire, kept);
}

function select(block) {
  for (const node of root.querySelectorAll(".block, .plus")) {
    node.classList.toggle("selected", node.dataset.block === block);
    node.querySelector("[aria-pressed]")?.setAttribute("aria-pressed", node.dataset.block === block);
  }
  trigger("select", { block });
}

function wait() {
  part("wiring")?.classList.add("busy", "flows");
  clearTimeout(patience);
  patience = setTimeout(() => { // no answer came: show again what the server last said
    wanted.clear();
    part("wiring-drawing").innerHTML = props.value || "";
    settle();
  }, PATIENCE);
}

function settle() {
  clearTimeout(patience);
  const wiring = part("wiring");
  wiring.classList.remove("busy");
  flow();
}

function flow() { // lane marks run for a moment, then rest: an idle page costs nothing
  const wiring = part("wiring");
  wiring.classList.add("flows");
  clearTimeout(calm);
  calm = setTimeout(() => {
    if (!wiring.classList.contains("busy")) wiring.classList.remove("flows");
  }, 2500);
}

function renewed() {
  for (const [key, gain] of [...wanted]) {
    const wire = marked("data-key", key).find((n) => n.matches(".wire"));
    if (!wire || gainOf(wire) === gain) wanted.delete(key);
    else show(key, gain);
  }
  if (wanted.size) wait(); else settle();
  if (focused && !root.contains(document.activeElement)) {
    marked("data-key", focused).find((n) => n.matches(".hit") && n.checkVisibility())?.focus();
  }
  if (tipped?.isConnected) tell(tipped);
}

// the numbers, beside whatever is pointed at or focused
let tipped = null;
function tell(hit, text) {
  const tip = part("wiring-tip"), frame = part("wiring").getBoundingClientRect();
  tipped = hit;
  const said = (text ?? hit.dataset.tip).split("\n");
  tip.replaceChildren(...said.map((line, i) => {
    const kind = i === 0 ? "b" : "span", node = document.createElement(kind);
    node.textContent = i && i < said.length - 1 ? line + "\n" : line;
    if (i && i === said.length - 1) node.className = "hint";
    return node;
  }));
  tip.classList.add("shown");
  const at = hit.getBoundingClientRect(), { offsetWidth: w, offsetHeight: h } = tip;
  const middle = at.left + at.width / 2 - frame.left - w / 2;
  const above = at.top - frame.top - h - 8;
  // A shortcut's numbers stand below the road, so that they do not hide the arches.
  const fits = at.top - h - 8 > 0 && !hit.closest(".wide .shortcut");
  tip.style.left = Math.max(0, Math.min(frame.width - w, middle)) + "px";
  tip.style.top = (fits ? above : at.bottom - frame.top + 8) + "px";
}
function hush() { tipped = null; part("wiring-tip")?.classList.remove("shown"); }

root.addEventListener("pointerover", (event) => {
  const hit = event.target.closest(".hit");
  if (hit && !drag) tell(hit);
});
root.addEventListener("pointerout", (event) => {
  if (drag || !event.target.closest(".hit")) return;
  const kept = root.querySelector(".hit:focus-visible");
  if (kept) tell(kept); else hush();
});
root.addEventListener("focusin", (event) => {
  const hit = event.target.closest(".hit");
  if (!hit) return;
  focused = hit.dataset.key;
  if (hit.matches(":focus-visible")) tell(hit);
});
root.addEventListener("focusout", () => {
  hush();
  queueMicrotask(() => { if (document.activeElement !== document.body) focused = null; });
});

root.addEventListener("pointerdown", (event) => {
  muteClick = false;
  const hit = event.target.closest(".wire .hit");
  if (!hit || event.button !== 0) return;
  drag = { wire: wireOf(hit), hit, x: event.clientX, y: event.clientY, moved: false };
  drag.from = drag.gain = gainOf(drag.wire);
  hit.setPointerCapture(event.pointerId);
});
root.addEventListener("pointermove", (event) => {
  if (!drag) return;
  // A finger's vertical stroke scrolls the page, so only its horizontal one turns a wire.
  const rise = drag.y - event.clientY, right = event.clientX - drag.x;
  const way = event.pointerType === "mouse" ? rise : right;
  if (!drag.moved && Math.abs(way) < 6) return;
  drag.moved = true;
  const gain = Math.min(MOST, Math.max(0, drag.from + way / PER_GAIN));
  drag.gain = Math.round(gain * 20) / 20;
  show(drag.wire.dataset.key, drag.gain);
  tell(drag.hit, `gain ×${drag.gain}`);
});
root.addEventListener("pointerup", () => {
  if (!drag) return;
  const { wire, moved, from, gain, hit } = drag;
  drag = null;
  if (!moved) return;
  muteClick = true; // the click that follows a drag is not a cut
  show(wire.dataset.key, from);
  turn(wire, gain);
  tell(hit);
});
root.addEventListener("pointercancel", () => {
  if (drag?.moved) show(drag.wire.dataset.key, drag.from);
  drag = null;
  hush();
});
root.addEventListener("click", (event) => {
  if (muteClick) { muteClick = false; return; }
  const wire = event.target.closest(".hit") && wireOf(event.target);
  if (wire) return cut(wire);
  const block = event.target.closest("[data-block]");
  if (block) select(block.dataset.block);
});

root.addEventListener("keydown", (event) => {
  const hit = event.target.closest(".hit");
  if (!hit || event.ctrlKey || event.metaKey || event.altKey) return;
  const wire = wireOf(hit);
  if (event.key === "Enter" || event.key === " ") {
    if (wire) cut(wire); else select(hit.closest("[data-block]").dataset.block);
  } else if (wire && event.key === "ArrowUp") turn(wire, gainOf(wire) + STEP);
  else if (wire && event.key === "ArrowDown") turn(wire, gainOf(wire) - STEP);
  else if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
    const kind = hit.dataset.key.split(":")[1];
    const row = [...hit.closest("svg").querySelectorAll(".hit")]
      .filter((other) => other.dataset.key.endsWith(":" + kind));
    row[row.indexOf(hit) + (event.key === "ArrowRight" ? 1 : -1)]?.focus();
  } else if (event.key === "Escape") hush();
  else return;
  event.preventDefault();
});

watch("value", renewed);
if (part("wiring-svg")) flow();
