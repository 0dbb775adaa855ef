// Keeps relative times true, by the server's clock: the browser's may be wrong.
import { ago, duration } from "./text";

let offsetMs = 0;

/** The server's time now, milliseconds. */
export function serverNow(): number {
  return Date.now() + offsetMs;
}

/** Takes the server's clock from a page that has just arrived. */
export function setClock(body: HTMLElement): void {
  const said = Number(body.dataset.nowMs);
  if (Number.isFinite(said) && said > 0) offsetMs = said - Date.now();
}

export function refreshTimes(root: ParentNode = document): void {
  const now = serverNow();
  for (const time of root.querySelectorAll<HTMLTimeElement>("time[data-time]")) {
    const then = Date.parse(time.dateTime);
    if (Number.isNaN(then)) continue;
    const text = time.dataset.time === "elapsed" ? duration(now - then) : ago(then, now);
    // What has not changed is not touched: selections stay, and nothing is drawn again.
    if (time.textContent !== text) time.textContent = text;
  }
}

export function startTimes(): void {
  setClock(document.body);
  setInterval(() => {
    if (!document.hidden) refreshTimes();
  }, 1000);
}
