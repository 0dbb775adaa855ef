// The job's text while it is being written: line numbers, what is wrong with it, which boards could
// take it.

interface Diagnostic {
  line: number;
  column: number;
  severity: "error" | "warning";
  message: string;
  hint?: string;
}

interface Validation {
  valid: boolean;
  diagnostics: Diagnostic[];
  candidates: { board: string; suitable: boolean; reason?: string }[];
}

/** How long nothing is typed before the text is looked at. */
const QUIET_MS = 350;

/** Where a line and column stand in a text, as an index. Both count from 1. */
export function indexOf(text: string, line: number, column: number): number {
  let at = 0;
  for (let number = 1; number < line; number += 1) {
    const end = text.indexOf("\n", at);
    if (end < 0) return text.length;
    at = end + 1;
  }
  const end = text.indexOf("\n", at);
  return Math.min(at + Math.max(0, column - 1), end < 0 ? text.length : end);
}

/** The worst severity of each line. */
export function worst(diagnostics: readonly Diagnostic[]): Map<number, "error" | "warning"> {
  const lines = new Map<number, "error" | "warning">();
  for (const one of diagnostics) {
    if (one.line > 0 && lines.get(one.line) !== "error") lines.set(one.line, one.severity);
  }
  return lines;
}

export function start(form: HTMLFormElement): void {
  const text = form.querySelector<HTMLTextAreaElement>("[data-editor-text]");
  const gutter = form.querySelector<HTMLElement>("[data-editor-gutter]");
  const list = form.querySelector<HTMLElement>("[data-editor-diagnostics]");
  const boards = form.querySelector<HTMLElement>("[data-editor-candidates]");
  const state = form.querySelector<HTMLElement>("[data-editor-state]");
  const file = form.querySelector<HTMLInputElement>("[data-editor-file]");
  if (!text || !gutter || !list || !boards || !state) return;
  let marks = new Map<number, "error" | "warning">();
  let asking: AbortController | null = null;
  let quiet = 0;

  const number = () => {
    const lines = text.value.split("\n").length;
    while (gutter.childElementCount > lines) gutter.lastElementChild?.remove();
    for (let line = gutter.childElementCount + 1; line <= lines; line += 1) {
      const span = document.createElement("span");
      span.textContent = String(line);
      gutter.append(span);
    }
    [...gutter.children].forEach((span, index) => {
      span.className = marks.has(index + 1) ? `has-${marks.get(index + 1)}` : "";
    });
    gutter.scrollTop = text.scrollTop;
  };
  const goTo = (line: number, column: number) => {
    const at = indexOf(text.value, line, column);
    text.focus();
    text.setSelectionRange(at, at);
    const row = parseFloat(getComputedStyle(text).lineHeight) || 20;
    text.scrollTop = Math.max(0, (line - 5) * row);
  };
  const show = (validation: Validation) => {
    marks = worst(validation.diagnostics);
    number();
    const errors = validation.diagnostics.filter((one) => one.severity === "error").length;
    state.textContent = validation.valid ? "no mistakes" : `${errors} ${errors === 1 ? "mistake" : "mistakes"}`;
    state.className = `small ${validation.valid ? "good-text" : "bad-text"}`;
    list.replaceChildren(diagnosticsList(validation.diagnostics));
    boards.replaceChildren(candidatesList(validation.candidates));
  };
  const ask = async () => {
    asking?.abort();
    asking = null;
    if (text.value.trim() === "") {
      marks = new Map();
      number();
      state.textContent = "";
      list.replaceChildren(paragraph("What is wrong with the job is said here, with its line."));
      boards.replaceChildren(paragraph("Which boards could take the job is said here.", false));
      return;
    }
    const request = new AbortController();
    asking = request;
    try {
      const answer = await fetch("/api/v1/jobs/validate", {
        method: "POST",
        headers: { "content-type": "application/yaml" },
        body: text.value,
        signal: request.signal,
      });
      if (answer.status === 401 || answer.status === 403) throw new Error("log in to have it looked at");
      if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
      show((await answer.json()) as Validation);
    } catch (error) {
      if (request.signal.aborted) return;
      state.className = "small odd-text";
      state.textContent = error instanceof TypeError ? "the server does not answer" : String((error as Error).message);
    }
  };
  text.addEventListener("input", () => {
    number();
    clearTimeout(quiet);
    quiet = window.setTimeout(() => void ask(), QUIET_MS);
  });
  text.addEventListener("scroll", () => (gutter.scrollTop = text.scrollTop));
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  list.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-line]") : null;
    if (!link) return;
    event.preventDefault();
    goTo(Number(link.dataset.line), Number(link.dataset.column));
  });
  file?.addEventListener("change", async () => {
    const chosen = file.files?.[0];
    if (!chosen) return;
    text.value = await chosen.text();
    file.value = "";
    number();
    void ask();
  });
  // What came with the page is marked at once.
  marks = new Map([...list.querySelectorAll<HTMLElement>("[data-line]")].map((one) => [Number(one.dataset.line), "error"]));
  number();
  if (text.value.trim() !== "") void ask();
}

function paragraph(words: string, isPadded = true): HTMLElement {
  const element = document.createElement("p");
  element.className = `${isPadded ? "panel-body " : ""}small soft`;
  element.textContent = words;
  return element;
}

function symbol(name: string): SVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#icon-${name}`);
  svg.append(use);
  return svg;
}

function diagnosticsList(diagnostics: readonly Diagnostic[]): HTMLElement {
  if (diagnostics.length === 0) return paragraph("Nothing is wrong with this job.");
  const list = document.createElement("ul");
  list.className = "diagnostics";
  for (const one of diagnostics) {
    const item = document.createElement("li");
    item.className = one.severity === "error" ? "tone-bad" : "tone-odd";
    const words = document.createElement("div");
    words.className = "grow";
    const sentence = document.createElement("p");
    if (one.line > 0) {
      const link = document.createElement("a");
      link.href = `#line-${one.line}`;
      link.dataset.line = String(one.line);
      link.dataset.column = String(one.column);
      link.textContent = `Line ${one.line}`;
      sentence.append(link, ": ");
    }
    sentence.append(one.message);
    words.append(sentence);
    if (one.hint) {
      const hint = document.createElement("p");
      hint.className = "soft";
      hint.textContent = one.hint;
      words.append(hint);
    }
    item.append(symbol(one.severity === "error" ? "fail" : "incomplete"), words);
    list.append(item);
  }
  return list;
}

function candidatesList(candidates: Validation["candidates"]): HTMLElement {
  if (candidates.length === 0) return paragraph("No board could take it.", false);
  const list = document.createElement("ul");
  list.className = "candidates";
  for (const one of candidates) {
    const item = document.createElement("li");
    const shape = document.createElement("span");
    shape.className = one.suitable ? "tone-good" : "tone-odd";
    shape.append(symbol(one.suitable ? "pass" : "canceled"));
    const link = document.createElement("a");
    link.href = `/boards/${encodeURIComponent(one.board)}`;
    link.textContent = one.board;
    const reason = document.createElement("span");
    reason.className = "soft";
    reason.textContent = one.reason ?? (one.suitable ? "could take it" : "");
    item.append(shape, " ", link, " ", reason);
    list.append(item);
  }
  return list;
}
