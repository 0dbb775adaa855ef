// Which rows of a long log are in sight, and how tall the scrolled space is.
//
// Browsers cannot scroll arbitrarily tall elements (Firefox ends at some 17.8 million pixels). Beyond
// MOST the space stays as tall and its positions stand for more than one pixel.

export const ROW = 20;
export const MOST = 8_000_000;

export interface Geometry {
  /** All rows. */
  rows: number;
  /** Height of what is in sight. */
  view: number;
}

/** Height of the scrolled space, pixels. */
export function spaceHeight({ rows, view }: Geometry): number {
  return Math.max(view, Math.min(rows * ROW, MOST));
}

/** Whether a position stands for more than one pixel. */
export function isScaled({ rows }: Geometry): boolean {
  return rows * ROW > MOST;
}

function lastTop({ rows, view }: Geometry): number {
  return Math.max(0, rows - view / ROW);
}

/** The row at the top, with its fraction, at a scroll position. */
export function topRow(geometry: Geometry, scrollTop: number): number {
  if (!isScaled(geometry)) return Math.min(scrollTop / ROW, lastTop(geometry));
  const room = spaceHeight(geometry) - geometry.view;
  return Math.min(1, Math.max(0, scrollTop / room)) * lastTop(geometry);
}

/** The scroll position at which a row stands at the top. */
export function scrollTopOf(geometry: Geometry, row: number): number {
  const top = Math.min(Math.max(0, row), lastTop(geometry));
  if (!isScaled(geometry)) return top * ROW;
  const last = lastTop(geometry);
  return last === 0 ? 0 : (top / last) * (spaceHeight(geometry) - geometry.view);
}

/** The rows to draw, from (inclusive) to (exclusive), and where the first stands, pixels. */
export function visible(geometry: Geometry, scrollTop: number, around = 8): { from: number; to: number; offset: number } {
  const top = topRow(geometry, scrollTop);
  const from = Math.max(0, Math.floor(top) - around);
  const to = Math.min(geometry.rows, Math.ceil(top + geometry.view / ROW) + around);
  return { from, to: Math.max(from, to), offset: isScaled(geometry) ? scrollTop - (top - from) * ROW : from * ROW };
}
