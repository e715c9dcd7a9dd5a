// The panel: what there is to choose, and what is measured, in words and numbers.

import { RANGES } from "./map.js";
import { ORDER_COLORS } from "./things.js";

export const $ = (id) => document.getElementById(id);
const MODES = { dry: "Dry", simulated: "Simulated", refined: "Refined", recorded: "Recorded" };
const LOOKS = { photo: "Camera", materials: "Materials" };
const ORDERS = ["direct", "1", "2", "3", "more"];

const element = (name, text = "", attributes = {}) => {
  const made = Object.assign(document.createElement(name), attributes);
  made.textContent = text;
  return made;
};

export class Panel {
  constructor(index) {
    this.index = index;
    document.title = index.title;
    $("title").textContent = index.title;
    index.sounds.forEach(({ name }, k) => $("sounds").append(new Option(name, `sound:${k}`)));
    (index.tracks ?? []).forEach(({ name }, k) => {
      $("sounds").append(new Option(`Recording: ${name}`, `track:${k}`));
    });
    index.sources.forEach(({ position }, k) => {
      $("sources").append(new Option(`${k + 1} at ${position.map((v) => v.toFixed(1)).join(", ")}`, k));
    });
    $("source-label").hidden = index.sources.length < 2;
    RANGES.forEach(({ name, unit }, k) => $("map").append(new Option(`${name} (${unit})`, k)));
    this.choices("modes", MODES, "simulated");
    this.choices("looks", LOOKS, index.photo ? "photo" : "materials");
    $("looks").hidden = !index.photo;
    this.legends();
    const { head, made } = index;
    $("made").textContent =
      `${index.points.length} places simulated with ${made.rays.toLocaleString("en")} rays by ` +
      `piavas ${made.piavas}; ears: ${head.name}.`;
    this.tracks(null);
    $("fold").addEventListener("click", () => this.fold());
    if (matchMedia("(max-width: 760px)").matches) this.fold();
  }

  fold() {
    const folded = $("panel").classList.toggle("folded");
    $("fold").setAttribute("aria-expanded", String(!folded));
  }

  choices(id, names, chosen) {
    for (const [value, name] of Object.entries(names)) {
      const label = element("label");
      const input = element("input", "", { type: "radio", name: id, value, checked: value === chosen });
      label.append(input, element("span", name));
      $(id).append(label);
    }
  }

  legends() {
    ORDERS.forEach((name, k) => $("orders").append(this.swatch(ORDER_COLORS[k], name)));
    for (const { name, color, absorption } of this.index.materials) {
      const item = this.swatch(`rgb(${color.map((v) => Math.round(255 * v)).join()})`, name);
      item.append(element("small", `α ${absorption[4].toFixed(2)}`, { title: "absorption at 1 kHz" }));
      $("materials").querySelector("ul").append(item);
    }
  }

  swatch(color, name) {
    const item = element("li");
    const box = element("i");
    box.style.background = color;
    item.append(box, element("span", name));
    return item;
  }

  /** Offer what there is of a recording: its refined and recorded sound. */
  tracks(track) {
    for (const input of $("modes").querySelectorAll("input")) {
      const always = ["dry", "simulated"].includes(input.value);
      input.parentElement.hidden = !always && !track?.[input.value];
    }
  }

  set playing(on) {
    $("play").setAttribute("aria-pressed", String(on));
    $("play").querySelector("span").textContent = on ? "Pause" : "Listen";
  }

  problem(text) {
    $("problem").hidden = !text;
    $("problem").textContent = text ?? "";
  }

  meters({ rms }) {
    $("meters").querySelectorAll("div").forEach((row, ear) => {
      const level = 20 * Math.log10(Math.max(rms[ear], 1e-6));
      row.querySelector("i").style.transform = `scaleX(${meterShare(level)})`;
      row.querySelector("output").textContent = level > -90 ? `${number(level, 1)} dB` : "–";
    });
  }

  figures([t30, c50, g], distance) {
    const cells = $("figures").querySelectorAll("dd");
    [[t30, 2, "s"], [c50, 1, "dB"], [g, 1, "dB"], [distance, 1, "m"]].forEach(([value, digits, unit], k) => {
      cells[k].textContent = value === null ? "–" : number(value, digits);
      cells[k].append(element("small", ` ${unit}`));
    });
  }

  scale(map) {
    $("scale").hidden = !map;
    if (!map) return;
    const { unit, digits } = RANGES[map.which];
    const [low, high] = $("scale").querySelectorAll("span");
    low.textContent = number(map.low, digits);
    high.textContent = `${number(map.high, digits)} ${unit}`;
  }
}

/** With the sign that numbers have in print. */
const number = (value, digits) => value.toFixed(digits).replace("-", "−");

/** Share of a meter's length: -60 dB to 0 dB re full scale. */
export const meterShare = (level) => Math.min(Math.max((level + 60) / 60, 0), 1);
