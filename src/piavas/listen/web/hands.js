// Keys, mouse and touch, told apart once for the whole page.

import { $ } from "./panel.js";

const CLICK = 5; // pixels: less than that is no drag
const STICK = 45; // pixels of its way

/** Calls of `on`: look(dx, dy), zoom(factor), tap(x, y), key(code), and `walker` for walking. */
export function listen(canvas, walker, on) {
  const fingers = new Map();
  let moved = 0;
  let apart = 0;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    if (fingers.size === 1) moved = 0;
    apart = span(fingers);
  });
  canvas.addEventListener("pointermove", (event) => {
    const last = fingers.get(event.pointerId);
    if (!last) return;
    const [dx, dy] = [event.clientX - last[0], event.clientY - last[1]];
    fingers.set(event.pointerId, [event.clientX, event.clientY]);
    moved += Math.hypot(dx, dy);
    if (fingers.size === 2) {
      const now = span(fingers);
      on.zoom(apart / Math.max(now, 1));
      apart = now;
    } else on.look(dx, dy);
  });
  canvas.addEventListener("pointerup", (event) => {
    fingers.delete(event.pointerId);
    if (moved < CLICK) on.tap(event.clientX, event.clientY);
  });
  canvas.addEventListener("pointercancel", (event) => fingers.delete(event.pointerId));
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    on.zoom(Math.exp(0.0012 * event.deltaY));
  }, { passive: false });
  window.addEventListener("keydown", (event) => {
    if (busyElsewhere(event)) return;
    if (walker.key(event.code, true) || (!event.repeat && on.key(event.code))) event.preventDefault();
  });
  window.addEventListener("keyup", (event) => walker.key(event.code, false));
  window.addEventListener("blur", () => walker.held.clear());
  thumb($("stick"), walker);
}

/** Typing in a field of the panel is not walking. */
function busyElsewhere({ target, ctrlKey, metaKey, altKey, code }) {
  if (ctrlKey || metaKey || altKey) return true;
  if (target.matches?.("select, input[type=range], input[type=radio]")) {
    return code.startsWith("Arrow") || code === "Space" || target.matches("select");
  }
  return code === "Space" && Boolean(target.matches?.("button, input, summary"));
}

const span = (fingers) => {
  const [a, b] = [...fingers.values()];
  return b ? Math.hypot(a[0] - b[0], a[1] - b[1]) : 0;
};

function thumb(stick, walker) {
  const knob = stick.querySelector("i");
  const set = (x, y) => {
    walker.stick = [x, y];
    knob.style.transform = `translate(${STICK * x}px, ${-STICK * y}px)`;
  };
  const follow = (event) => {
    const box = stick.getBoundingClientRect();
    const x = (event.clientX - box.left - box.width / 2) / STICK;
    const y = -(event.clientY - box.top - box.height / 2) / STICK;
    const size = Math.max(Math.hypot(x, y), 1);
    set(x / size, y / size);
  };
  stick.addEventListener("pointerdown", (event) => {
    stick.setPointerCapture(event.pointerId);
    follow(event);
  });
  stick.addEventListener("pointermove", (event) => event.buttons && follow(event));
  for (const end of ["pointerup", "pointercancel"]) stick.addEventListener(end, () => set(0, 0));
}
