// Which line stands in which row: all lines, or those that a filter lets through.

/** Numbers in ascending order. */
export class Rows {
  /** `null` while every line is shown. */
  private chosen: number[] | null = null;
  private lines = 0;

  /** How many rows there are. */
  get count(): number {
    return this.chosen ? this.chosen.length : this.lines;
  }

  /** How many lines the log has. */
  get total(): number {
    return this.lines;
  }

  get isFiltered(): boolean {
    return this.chosen !== null;
  }

  /** The log has grown. */
  grow(total: number): void {
    this.lines = Math.max(this.lines, total);
  }

  showAll(): void {
    this.chosen = null;
  }

  showNone(): void {
    this.chosen = [];
  }

  /** Adds lines that a filter let through; those that are there already are passed over. */
  add(numbers: readonly number[]): void {
    if (!this.chosen) return;
    for (const number of numbers) {
      if (number > (this.chosen.at(-1) ?? 0)) this.chosen.push(number);
    }
  }

  /** The number of the line in a row. */
  numberAt(row: number): number | undefined {
    if (this.chosen) return this.chosen[row];
    return row >= 0 && row < this.lines ? row + 1 : undefined;
  }

  /** The row of a line, or of the next one that is shown. */
  rowOf(number: number): number {
    if (!this.chosen) return Math.min(Math.max(0, number - 1), Math.max(0, this.lines - 1));
    return Math.min(firstAtLeast(this.chosen, number), Math.max(0, this.chosen.length - 1));
  }
}

/** The index of the first number that is not less; the length where there is none. */
export function firstAtLeast(numbers: readonly number[], wanted: number): number {
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((numbers[middle] ?? 0) < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}
