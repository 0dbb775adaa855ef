// A run's log as the server has it: ranges, searches, what comes.

export interface Line {
  number: number;
  utc_us: number;
  level: string;
  text: string;
}

/** Which lines are meant; empty strings mean all. */
export interface Filter {
  /** Levels joined by commas. */
  level: string;
  /** A text, upper and lower case alike. */
  q: string;
}

export const EVERYTHING: Filter = { level: "", q: "" };

/** Cuts a stream of text into lines, whatever pieces it comes in. */
export class LineCutter {
  private rest = "";

  push(piece: string): string[] {
    const lines = (this.rest + piece).split("\n");
    this.rest = lines.pop() ?? "";
    return lines.filter((line) => line !== "");
  }

  end(): string[] {
    const rest = this.rest;
    this.rest = "";
    return rest === "" ? [] : [rest];
  }
}

export class LogSource {
  private readonly address: string;

  constructor(run: string) {
    this.address = `/api/v1/runs/${encodeURIComponent(run)}/log`;
  }

  /** The lines of a range, first and last included. */
  async range(from: number, to: number, filter: Filter, signal?: AbortSignal): Promise<Line[]> {
    const lines: Line[] = [];
    await this.stream(this.query({ from, to, ...filter }), (line) => lines.push(line), signal);
    return lines;
  }

  /** One line, where there is one. */
  async at(number: number, signal?: AbortSignal): Promise<Line | undefined> {
    const lines = await this.range(number, number, EVERYTHING, signal);
    return lines[0];
  }

  /** The numbers of all lines that a filter lets through, as they are found. */
  async scan(filter: Filter, found: (numbers: number[]) => void, signal: AbortSignal): Promise<void> {
    let batch: number[] = [];
    await this.stream(
      this.query({ ...filter }),
      (line) => {
        batch.push(line.number);
        if (batch.length >= 2000) {
          found(batch);
          batch = [];
        }
      },
      signal,
      () => {
        if (batch.length > 0) found(batch);
        batch = [];
      },
    );
  }

  /** The line at a moment: the last one that is not later, by halving. */
  async lineAt(utcUs: number, last: number, signal?: AbortSignal): Promise<number> {
    let low = 1;
    let high = Math.max(1, last);
    while (low < high) {
      const middle = Math.floor((low + high + 1) / 2);
      const line = await this.at(middle, signal);
      if (!line) high = middle - 1;
      else if (line.utc_us <= utcUs) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** Follows from a line on. The browser takes up a broken stream by itself. */
  follow(from: number, heard: (json: string, number: number) => void, ended: () => void): () => void {
    const stream = new EventSource(`${this.address}/stream?from=${from}`);
    let last = from - 1;
    stream.onmessage = (event: MessageEvent<string>) => {
      last = Number(event.lastEventId);
      heard(event.data, last);
    };
    stream.addEventListener("end", () => {
      stream.close();
      ended();
    });
    let again: number | undefined;
    let inner: (() => void) | undefined;
    stream.onerror = () => {
      if (stream.readyState !== EventSource.CLOSED) return;
      stream.close();
      again = window.setTimeout(() => {
        inner = this.follow(last + 1, heard, ended);
      }, 3000);
    };
    return () => {
      clearTimeout(again);
      inner?.();
      stream.close();
    };
  }

  private query(parts: { from?: number; to?: number } & Filter): string {
    const query = new URLSearchParams();
    if (parts.from !== undefined) query.set("from", String(parts.from));
    if (parts.to !== undefined) query.set("to", String(parts.to));
    if (parts.level) query.set("level", parts.level);
    if (parts.q) query.set("q", parts.q);
    return query.toString();
  }

  private async stream(query: string, heard: (line: Line) => void, signal?: AbortSignal, pause?: () => void): Promise<void> {
    const answer = await fetch(`${this.address}?${query}`, signal ? { signal } : {});
    if (!answer.ok || !answer.body) throw new Error(`the log answered ${answer.status}`);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const cutter = new LineCutter();
    for (;;) {
      const { value, done } = await reader.read();
      const lines = done ? cutter.end() : cutter.push(value);
      for (const line of lines) heard(JSON.parse(line) as Line);
      pause?.();
      if (done) return;
    }
  }
}
