// What a board says now, as it says it.
import { nodes } from "./sgr";

/** Lines that are kept in sight. */
const KEPT = 2000;

/** Cuts what a board says into lines; the last one may still grow. */
export class ConsoleLines {
  private readonly decoder = new TextDecoder("utf-8", { fatal: false });
  private partial = "";

  /** Whole lines, and what the line after them holds so far. */
  push(bytes: Uint8Array): { lines: string[]; partial: string } {
    const text = this.partial + this.decoder.decode(bytes, { stream: true });
    const lines = text.split("\n");
    this.partial = lines.pop() ?? "";
    // A board that never ends its line must not grow without bound.
    if (this.partial.length > 4096) {
      lines.push(this.partial);
      this.partial = "";
    }
    return { lines, partial: this.partial };
  }
}

export function start(panel: HTMLElement): void {
  const view = panel.querySelector<HTMLElement>("[data-console-view]");
  const state = panel.querySelector<HTMLElement>("[data-console-state]");
  const name = panel.dataset.console;
  if (!view || !name) return;
  const console = new ConsoleLines();
  let open: HTMLElement | null = null;
  const lineOf = (text: string) => {
    const line = document.createElement("div");
    line.className = "line";
    const content = document.createElement("span");
    content.className = "line-text";
    content.append(...nodes(text));
    line.append(content);
    return line;
  };
  const heard = (data: string) => {
    const chunk = JSON.parse(data) as { bytes: string };
    const bytes = Uint8Array.from(atob(chunk.bytes), (one) => one.charCodeAt(0));
    const { lines, partial } = console.push(bytes);
    const isAtEnd = view.scrollHeight - view.scrollTop - view.clientHeight < 30;
    view.querySelector("[data-console-empty]")?.remove();
    open?.remove();
    for (const line of lines) view.append(lineOf(line));
    open = partial === "" ? null : lineOf(partial);
    if (open) view.append(open);
    while (view.childElementCount > KEPT) view.firstElementChild?.remove();
    if (isAtEnd) view.scrollTop = view.scrollHeight;
  };
  const say = (text: string) => {
    if (state && state.textContent !== text) state.textContent = text;
  };
  const connect = () => {
    const stream = new EventSource(`/api/v1/boards/${encodeURIComponent(name)}/console/stream`);
    stream.onopen = () => say("live");
    stream.onmessage = (event: MessageEvent<string>) => heard(event.data);
    stream.onerror = () => {
      say("not connected");
      if (stream.readyState === EventSource.CLOSED) window.setTimeout(connect, 5000);
    };
    addEventListener("pagehide", () => stream.close(), { once: true });
  };
  connect();
}
