// Numbers and times as people read them; the same as `crates/pages/src/text.rs` says on the server.
// Both are held to text.cases.json.

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** How long ago: `now`, `12 s ago`, `3 min ago`; beyond thirty days the day. Milliseconds. */
export function ago(thenMs: number, nowMs: number): string {
  const seconds = Math.floor((nowMs - thenMs) / 1000);
  if (seconds < 2) return "now";
  if (seconds < MINUTE) return `${seconds} s ago`;
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min ago`;
  if (seconds < DAY) return `${Math.floor(seconds / HOUR)} h ago`;
  if (seconds < 30 * DAY) return `${Math.floor(seconds / DAY)} d ago`;
  const then = new Date(thenMs);
  return `${then.getUTCDate()} ${MONTHS[then.getUTCMonth()]} ${then.getUTCFullYear()}`;
}

/** A duration: `340 ms`, `4.2 s`, `42 s`, `3 min 05 s`, `2 h 07 min`, `3 d 4 h`. */
export function duration(ms: number): string {
  const whole = Math.max(0, Math.floor(ms));
  const seconds = Math.floor(whole / 1000);
  const two = (number: number) => String(number).padStart(2, "0");
  if (seconds === 0) return `${whole} ms`;
  if (seconds < 10) return `${seconds}.${Math.floor((whole % 1000) / 100)} s`;
  if (seconds < MINUTE) return `${seconds} s`;
  if (seconds < HOUR) return `${Math.floor(seconds / MINUTE)} min ${two(seconds % MINUTE)} s`;
  if (seconds < DAY) return `${Math.floor(seconds / HOUR)} h ${two(Math.floor((seconds % HOUR) / MINUTE))} min`;
  return `${Math.floor(seconds / DAY)} d ${Math.floor((seconds % DAY) / HOUR)} h`;
}

/** A number with its digits in groups of three, parted by a narrow blank. */
export function count(number: number): string {
  return String(Math.floor(number)).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** `12:13:20.042`, UTC, from microseconds. */
export function clockTime(utcUs: number): string {
  const date = new Date(Math.floor(utcUs / 1000));
  return Number.isNaN(date.getTime()) ? "" : date.toISOString().slice(11, 23);
}
