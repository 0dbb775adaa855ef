// What a pointer and the keyboard can ask of a drawing: counts under the pointer, single CPUs, and
// what is known of a run. The drawings themselves come from the server.
import { count } from "./text";

const ready = new WeakSet<Element>();

/** Makes the drawings below `root` that are not yet alive so. */
export function start(root: ParentNode): void {
  for (const figure of root.querySelectorAll<HTMLElement>("[data-plot='histogram']")) {
    if (ready.has(figure)) continue;
    ready.add(figure);
    histogram(figure);
  }
  for (const figure of root.querySelectorAll<HTMLElement>("[data-plot='trend']")) {
    if (ready.has(figure)) continue;
    ready.add(figure);
    trend(figure);
  }
}

interface Curve {
  name: string;
  /** Top edges: from (inclusive) and to (exclusive) in units of the picture, and the share of height. */
  steps: { from: number; to: number; height: number }[];
}

/** Reads a stepped path of the server's: `M12.5,1000V830H25V1000…`. */
export function readPath(path: string): Curve["steps"] {
  const steps: Curve["steps"] = [];
  let x = 0;
  let y = 1000;
  for (const [, command, first, second] of path.matchAll(/([MVH])([\d.]+)(?:,([\d.]+))?/g)) {
    if (command === "M") {
      x = Number(first);
      y = Number(second);
    } else if (command === "V") {
      y = Number(first);
    } else {
      const to = Number(first);
      if (y < 1000) steps.push({ from: x, to, height: 1 - y / 1000 });
      x = to;
    }
  }
  return steps;
}

/** One sample stands this far above the ground, in decades; as in `plot/histogram.rs`. */
const BASELINE = 0.35;

/** The count that stands at a share of the height. */
export function countAt(height: number, decades: number): number {
  return Math.round(10 ** (height * (decades + BASELINE) - BASELINE));
}

function histogram(figure: HTMLElement): void {
  const area = figure.querySelector<SVGRectElement>("[data-catch]");
  const cross = figure.querySelector<SVGLineElement>("[data-cross]");
  const readout = figure.querySelector<HTMLElement>("[data-readout]");
  const buttons = [...figure.querySelectorAll<HTMLButtonElement>("button[data-series]")];
  if (!area || !cross || !readout) return;
  const endUs = Number(figure.dataset.endUs);
  const binUs = Number(figure.dataset.binUs);
  const decades = Number(figure.dataset.decades);
  const curves: Curve[] = buttons.map((button) => ({
    name: button.childNodes[1]?.textContent?.trim() ?? "",
    steps: readPath(figure.querySelector(`path.line[data-series="${button.dataset.series}"]`)?.getAttribute("d") ?? ""),
  }));
  const isOn = (index: number) => buttons[index]?.getAttribute("aria-pressed") === "true";
  for (const button of buttons) {
    button.disabled = false;
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      button.setAttribute("aria-pressed", String(on));
      for (const path of figure.querySelectorAll(`path[data-series="${button.dataset.series}"]`)) {
        path.classList.toggle("is-off", !on);
      }
    });
  }
  area.addEventListener("pointermove", (event) => {
    const box = area.getBoundingClientRect();
    const share = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    const bin = Math.min(Math.floor((share * endUs) / binUs), Math.ceil(endUs / binUs) - 1);
    const middle = ((bin + 0.5) * binUs) / endUs;
    cross.setAttribute("x1", `${middle * 100}%`);
    cross.setAttribute("x2", `${middle * 100}%`);
    cross.setAttribute("visibility", "visible");
    const from = bin * binUs;
    const latency = binUs === 1 ? `${count(from)} µs` : `${count(from)}–${count(from + binUs - 1)} µs`;
    const parts = curves.flatMap((curve, index) => {
      if (!isOn(index)) return [];
      const step = curve.steps.find((one) => one.from <= middle * 1000 && middle * 1000 < one.to);
      return step ? [`${curve.name} ${count(countAt(step.height, decades))}`] : [];
    });
    readout.textContent = `${latency}: ${parts.length > 0 ? parts.join(" · ") : "no samples"}`;
  });
  area.addEventListener("pointerleave", () => {
    cross.setAttribute("visibility", "hidden");
    readout.textContent = "";
  });
}

function trend(figure: HTMLElement): void {
  const hint = document.createElement("div");
  hint.className = "hint number";
  hint.hidden = true;
  figure.append(hint);
  const show = (event: Event) => {
    const mark = event.target instanceof Element ? event.target.closest(".mark") : null;
    const dot = mark?.querySelector(".dot-max");
    if (!mark || !dot) {
      hint.hidden = true;
      return;
    }
    // The browser's own hint would come late and stand over ours.
    mark.querySelector("title")?.remove();
    hint.textContent = mark.getAttribute("aria-label");
    hint.hidden = false;
    const [box, place] = [figure.getBoundingClientRect(), dot.getBoundingClientRect()];
    const left = place.left - box.left + 12;
    hint.style.left = `${Math.max(0, Math.min(left, box.width - hint.offsetWidth - 4))}px`;
    hint.style.top = `${Math.max(0, place.top - box.top - hint.offsetHeight - 8)}px`;
  };
  figure.addEventListener("pointerover", show);
  figure.addEventListener("focusin", show);
  figure.addEventListener("pointerleave", () => (hint.hidden = true));
  figure.addEventListener("focusout", () => (hint.hidden = true));
}
