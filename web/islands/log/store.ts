// The lines that are at hand: fetched in blocks when they come into sight, forgotten when many others
// have come since.
import type { Filter, Line, LogSource } from "./source";
import type { Rows } from "./rows";

export const BLOCK = 200;
/** Blocks that are kept: some twelve thousand lines. */
const KEPT = 60;

interface Block {
  lines: Map<number, Line | string>;
  isWhole: boolean;
  fetching: AbortController | null;
  failed: number;
}

export class LineStore {
  private blocks = new Map<number, Block>();

  constructor(
    private readonly source: LogSource,
    private readonly rows: Rows,
    private readonly arrived: () => void,
  ) {}

  /** Forgets everything: another filter. */
  clear(): void {
    for (const block of this.blocks.values()) block.fetching?.abort();
    this.blocks.clear();
  }

  /** The line of a row, where it is at hand. */
  get(row: number): Line | undefined {
    const number = this.rows.numberAt(row);
    const block = this.blocks.get(Math.floor(row / BLOCK));
    const line = number === undefined ? undefined : block?.lines.get(number);
    if (typeof line !== "string") return line;
    // A line that came live is read when it is first looked at.
    const read = JSON.parse(line) as Line;
    block?.lines.set(read.number, read);
    return read;
  }

  /** Takes a line that came live, unread. Only what is near the end is kept. */
  put(row: number, number: number, json: string): void {
    const index = Math.floor(row / BLOCK);
    let block = this.blocks.get(index);
    if (!block) {
      // Without the block's beginning it is fetched when somebody looks at it.
      if (row % BLOCK !== 0) return;
      block = { lines: new Map(), isWhole: true, fetching: null, failed: 0 };
      this.blocks.set(index, block);
      this.forget(index);
    }
    block.lines.set(number, json);
  }

  /** Fetches what is missing of some rows. */
  want(from: number, to: number, filter: Filter): void {
    const first = Math.floor(from / BLOCK);
    const last = Math.floor(Math.max(from, to - 1) / BLOCK);
    for (const [index, block] of this.blocks) {
      // What was wanted and is out of sight again need not come.
      if (block.fetching && (index < first - 1 || index > last + 1)) {
        block.fetching.abort();
        this.blocks.delete(index);
      }
    }
    for (let index = first; index <= last; index += 1) this.fetch(index, filter);
  }

  private fetch(index: number, filter: Filter): void {
    const start = index * BLOCK;
    const end = Math.min(this.rows.count, start + BLOCK);
    const from = this.rows.numberAt(start);
    const to = this.rows.numberAt(end - 1);
    if (from === undefined || to === undefined) return;
    let block = this.blocks.get(index);
    if (block?.fetching) return;
    if (block && block.lines.size >= end - start) return;
    if (block && Date.now() - block.failed < 2000) return;
    block ??= { lines: new Map(), isWhole: false, fetching: null, failed: 0 };
    const fetching = new AbortController();
    block.fetching = fetching;
    this.blocks.delete(index);
    this.blocks.set(index, block);
    this.forget(index);
    const into = block;
    this.source
      .range(from, to, { level: filter.level, q: "" }, fetching.signal)
      .then((lines) => {
        for (const line of lines) into.lines.set(line.number, line);
        into.fetching = null;
        this.arrived();
      })
      .catch(() => {
        into.fetching = null;
        if (fetching.signal.aborted) return;
        into.failed = Date.now();
        window.setTimeout(this.arrived, 2100);
      });
  }

  private forget(except: number): void {
    for (const index of this.blocks.keys()) {
      if (this.blocks.size <= KEPT) return;
      if (index !== except) this.blocks.delete(index);
    }
  }
}
