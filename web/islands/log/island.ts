// The log of a job's page: any length, fetched by range, filtered by level, searched as a whole,
// followed while it grows.
import { STALE } from "../live";
import { nodes } from "../sgr";
import { clockTime, count } from "../text";
import { ROW, isScaled, scrollTopOf, spaceHeight, topRow, visible } from "./geometry";
import { Rows, firstAtLeast } from "./rows";
import { type Line, LogSource } from "./source";
import { LineStore } from "./store";

export function start(panel: HTMLElement): void {
  new LogView(panel).start();
}

function part<T extends HTMLElement>(panel: HTMLElement, name: string): T {
  const found = panel.querySelector<T>(`[data-log-${name}]`);
  if (!found) throw new Error(`the log has no ${name}`);
  return found;
}

class LogView {
  private readonly source: LogSource;
  private readonly rows = new Rows();
  private readonly store: LineStore;
  private readonly view: HTMLElement;
  private readonly space = document.createElement("div");
  private readonly window = document.createElement("div");
  private readonly query: HTMLInputElement;
  private readonly found: HTMLElement;
  private readonly level: HTMLSelectElement;
  private readonly followButton: HTMLButtonElement;
  private readonly counter: HTMLElement;
  private isFollowing = false;
  private isDrawn = false;
  private frame = 0;
  private wanted = 0;
  private target = 0;
  /** Rows of a scaled space that were asked for exactly; its scroll positions are too coarse. */
  private exact: number | null = null;
  private matches: number[] = [];
  private match = -1;
  private isSearching = false;
  private search: AbortController | null = null;
  private filtering: AbortController | null = null;
  private stopFollowing: (() => void) | null = null;

  constructor(private readonly panel: HTMLElement) {
    this.source = new LogSource(panel.dataset.log ?? "");
    this.store = new LineStore(this.source, this.rows, () => this.draw());
    this.view = part(panel, "view");
    this.query = part(panel, "query");
    this.found = part(panel, "found");
    this.level = part(panel, "level");
    this.followButton = part(panel, "follow");
    this.counter = part(panel, "count");
    this.space.className = "log-space";
    this.window.className = "log-window";
    this.space.append(this.window);
  }

  start(): void {
    this.rows.grow(Number(this.panel.dataset.lines) || 0);
    part(this.panel, "tools").hidden = false;
    const goesOn = this.panel.hasAttribute("data-goes-on");
    this.setFollowing(goesOn && !location.hash.startsWith("#L"));
    this.listen();
    if (this.rows.total > 0) this.takeOver();
    this.stopFollowing = goesOn
      ? this.source.follow(
          this.rows.total + 1,
          (json, number) => this.heard(json, number),
          () => this.ended(),
        )
      : null;
    addEventListener("pagehide", () => this.stopFollowing?.(), { once: true });
    this.goToHash();
  }

  /** Takes the place of the lines that came with the page. */
  private takeOver(): void {
    if (this.isDrawn) return;
    this.isDrawn = true;
    this.view.replaceChildren(this.space);
    this.resize();
    if (this.isFollowing) this.toEnd();
    else if (!location.hash.startsWith("#L")) this.view.scrollTop = 0;
    this.draw();
  }

  private listen(): void {
    this.view.addEventListener("scroll", () => {
      if (this.exact !== null && Math.abs(scrollTopOf(this.geometry(), this.exact) - this.view.scrollTop) > 1) this.exact = null;
      this.draw();
    });
    this.view.addEventListener(
      "wheel",
      (event) => {
        if (event.deltaY < 0) this.setFollowing(false);
        if (!isScaled(this.geometry()) || event.ctrlKey) return;
        event.preventDefault();
        this.moveTo(this.top() + event.deltaY / ROW);
      },
      { passive: false },
    );
    this.view.addEventListener("keydown", (event) => {
      if (["ArrowUp", "PageUp", "Home"].includes(event.key)) this.setFollowing(false);
      if (event.key === "End") this.setFollowing(this.stopFollowing !== null);
      if (!isScaled(this.geometry())) return;
      const page = this.view.clientHeight / ROW - 1;
      const step = { ArrowUp: -1, ArrowDown: 1, PageUp: -page, PageDown: page }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      this.moveTo(this.top() + step);
    });
    this.view.addEventListener("pointerdown", () => {
      // A hand on the scroll bar, or text being selected: nothing moves away under it.
      if (this.isFollowing && !this.isAtEnd()) this.setFollowing(false);
    });
    this.window.addEventListener("click", (event) => {
      const link = event.target instanceof Element ? event.target.closest<HTMLAnchorElement>("a.line-number") : null;
      if (!link) return;
      event.preventDefault();
      history.replaceState(null, "", link.hash);
      this.target = Number(link.textContent);
      this.draw();
    });
    new ResizeObserver(() => {
      if (!this.isDrawn) return;
      this.resize();
      if (this.isFollowing) this.toEnd();
      this.draw();
    }).observe(this.view);
    this.followButton.addEventListener("click", () => {
      this.setFollowing(!this.isFollowing);
      if (this.isFollowing) this.toEnd();
    });
    this.level.addEventListener("change", () => void this.filter());
    let typing = 0;
    this.query.addEventListener("input", () => {
      clearTimeout(typing);
      typing = window.setTimeout(() => void this.find(), 250);
    });
    this.query.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      this.step(event.shiftKey ? -1 : 1);
    });
    part(this.panel, "next").addEventListener("click", () => this.step(1));
    part(this.panel, "previous").addEventListener("click", () => this.step(-1));
    addEventListener("hashchange", () => this.goToHash());
    document.addEventListener("click", (event) => {
      const link = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-log-time]") : null;
      if (!link) return;
      event.preventDefault();
      void this.goToTime(Number(link.dataset.logTime));
    });
  }

  private geometry() {
    return { rows: this.rows.count, view: this.view.clientHeight };
  }

  private top(): number {
    return this.exact ?? topRow(this.geometry(), this.view.scrollTop);
  }

  private resize(): void {
    this.space.style.height = `${spaceHeight(this.geometry())}px`;
  }

  private isAtEnd(): boolean {
    return this.top() + this.view.clientHeight / ROW >= this.rows.count - 1.5;
  }

  private toEnd(): void {
    this.exact = null;
    this.view.scrollTop = this.view.scrollHeight;
  }

  private moveTo(row: number): void {
    const geometry = this.geometry();
    const last = Math.max(0, geometry.rows - geometry.view / ROW);
    const top = Math.min(Math.max(0, row), last);
    this.exact = isScaled(geometry) ? top : null;
    this.view.scrollTop = scrollTopOf(geometry, top);
    this.draw();
  }

  private show(number: number): void {
    this.setFollowing(false);
    this.takeOver();
    this.moveTo(this.rows.rowOf(number) - Math.floor(this.view.clientHeight / ROW / 3));
  }

  private setFollowing(isFollowing: boolean): void {
    this.isFollowing = isFollowing;
    this.followButton.setAttribute("aria-pressed", String(isFollowing));
  }

  /** Draws in the next frame, once. */
  private draw(): void {
    if (!this.isDrawn || this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.drawNow();
    });
  }

  private drawNow(): void {
    const geometry = this.geometry();
    const scrollTop = this.view.scrollTop;
    let { from, to, offset } = visible(geometry, scrollTop);
    if (this.exact !== null) {
      from = Math.max(0, Math.floor(this.exact) - 8);
      to = Math.min(geometry.rows, Math.ceil(this.exact + geometry.view / ROW) + 8);
      offset = scrollTop - (this.exact - from) * ROW;
    }
    const now = this.matches[this.match];
    const drawn: HTMLElement[] = [];
    let isMissing = false;
    for (let row = from; row < to; row += 1) {
      const line = this.store.get(row);
      if (!line) isMissing = true;
      drawn.push(this.lineElement(this.rows.numberAt(row) ?? 0, line, now));
    }
    this.window.style.transform = `translateY(${offset}px)`;
    this.window.replaceChildren(...drawn);
    if (!isMissing) return;
    // While somebody flies over the log, nothing is fetched that he will not look at.
    clearTimeout(this.wanted);
    this.wanted = window.setTimeout(() => this.store.want(from, to, { level: this.level.value, q: "" }), 40);
  }

  private lineElement(number: number, line: Line | undefined, now: number | undefined): HTMLElement {
    const element = document.createElement("div");
    element.className = line ? `line level-${/^[a-z]+$/.test(line.level) ? line.level : "odd"}` : "line is-blank";
    if (number === this.target) element.classList.add("is-target");
    if (number === now) element.classList.add("is-match-now");
    const link = document.createElement("a");
    link.className = "line-number";
    link.href = `#L${number}`;
    link.textContent = String(number);
    link.tabIndex = -1;
    const time = document.createElement("span");
    time.className = "line-time";
    const text = document.createElement("span");
    text.className = "line-text";
    if (line) {
      time.textContent = clockTime(line.utc_us);
      text.append(...nodes(line.text, this.query.value));
    }
    element.append(link, time, text);
    return element;
  }

  private heard(json: string, number: number): void {
    const isNew = number > this.rows.total;
    this.rows.grow(number);
    if (!isNew) return;
    const needsReading = this.level.value !== "" || this.query.value !== "";
    // Lines that the server wrote itself tell of steps; the page's other parts have changed, too.
    if (!json.includes('"level":"target"')) document.dispatchEvent(new Event(STALE));
    if (needsReading) {
      const line = JSON.parse(json) as Line;
      const passes = this.level.value === "" || this.level.value.split(",").includes(line.level);
      if (passes && this.level.value !== "" && !this.filtering) this.rows.add([number]);
      const wanted = this.query.value.toLowerCase();
      if (passes && wanted && !this.search && line.text.toLowerCase().includes(wanted)) this.matches.push(number);
      if (!passes) return;
    }
    this.store.put(this.rows.count - 1, number, json);
    this.grown();
  }

  private growing = 0;

  private grown(): void {
    if (this.growing) return;
    this.growing = requestAnimationFrame(() => {
      this.growing = 0;
      this.counter.textContent = count(this.rows.total);
      this.takeOver();
      this.resize();
      if (this.isFollowing) this.toEnd();
      this.sayFound();
      this.draw();
    });
  }

  private ended(): void {
    this.stopFollowing = null;
    document.dispatchEvent(new Event(STALE));
  }

  private async filter(): Promise<void> {
    this.filtering?.abort();
    this.filtering = null;
    const kept = this.rows.numberAt(Math.floor(this.top())) ?? 1;
    this.store.clear();
    const level = this.level.value;
    if (level === "") {
      this.rows.showAll();
    } else {
      this.rows.showNone();
      const filtering = new AbortController();
      this.filtering = filtering;
      this.afterFilter(kept);
      try {
        await this.source.scan({ level, q: "" }, (numbers) => {
          this.rows.add(numbers);
          this.afterFilter(kept);
        }, filtering.signal);
      } catch {
        if (filtering.signal.aborted) return;
        this.say("the server does not answer");
      }
      this.filtering = null;
    }
    this.afterFilter(kept);
    if (this.query.value) void this.find();
  }

  private afterFilter(kept: number): void {
    this.takeOver();
    this.resize();
    if (this.isFollowing) this.toEnd();
    else this.moveTo(this.rows.rowOf(kept));
    this.draw();
  }

  private async find(): Promise<void> {
    this.search?.abort();
    this.search = null;
    this.matches = [];
    this.match = -1;
    const q = this.query.value;
    if (!q) {
      this.isSearching = false;
      this.sayFound();
      this.draw();
      return;
    }
    const search = new AbortController();
    this.search = search;
    this.isSearching = true;
    this.setFollowing(false);
    this.sayFound();
    const from = this.rows.numberAt(Math.floor(this.top())) ?? 1;
    try {
      await this.source.scan({ level: this.level.value, q }, (numbers) => {
        this.matches.push(...numbers);
        // The first one from here on, as soon as it is known.
        if (this.match < 0 && (this.matches.at(-1) ?? 0) >= from) this.goToMatch(firstAtLeast(this.matches, from));
        this.sayFound();
      }, search.signal);
    } catch {
      if (search.signal.aborted) return;
      this.isSearching = false;
      this.search = null;
      this.say("no answer");
      return;
    }
    this.isSearching = false;
    this.search = null;
    if (this.match < 0 && this.matches.length > 0) this.goToMatch(0);
    this.sayFound();
    this.draw();
  }

  private step(by: number): void {
    if (this.matches.length === 0) return;
    const length = this.matches.length;
    this.goToMatch((((this.match < 0 && by < 0 ? 0 : this.match) + by) % length + length) % length);
    this.sayFound();
  }

  private goToMatch(index: number): void {
    this.match = index;
    const number = this.matches[index];
    if (number !== undefined) this.show(number);
  }

  private sayFound(): void {
    const length = this.matches.length;
    if (!this.query.value) this.say("");
    else if (length === 0) this.say(this.isSearching ? "…" : "none");
    else this.say(`${this.match + 1}/${count(length)}${this.isSearching ? "+" : ""}`);
  }

  private say(text: string): void {
    if (this.found.textContent !== text) this.found.textContent = text;
  }

  private goToHash(): void {
    const hash = /^#L(\d+)$/.exec(location.hash);
    if (!hash) return;
    this.target = Number(hash[1]);
    if (this.rows.total === 0) return;
    this.show(this.target);
    this.panel.scrollIntoView({ block: "nearest" });
  }

  private async goToTime(utcUs: number): Promise<void> {
    try {
      const number = await this.source.lineAt(utcUs, this.rows.total);
      this.target = number;
      this.show(number);
      this.view.focus({ preventScroll: true });
    } catch {
      this.say("no answer");
    }
  }
}
