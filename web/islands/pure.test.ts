// What needs no browser: numbers, console text, rows of a log, places in a text.
import { describe, expect, test } from "vitest";
import consoleCases from "./console.cases.json";
import textCases from "./text.cases.json";
import { ConsoleLines } from "./board-console";
import { indexOf, worst } from "./editor";
import { concerns } from "./concerns";
import { MOST, ROW, isScaled, scrollTopOf, spaceHeight, topRow, visible } from "./log/geometry";
import { Rows, firstAtLeast } from "./log/rows";
import { LineCutter } from "./log/source";
import { countAt, readPath } from "./plot";
import { LONGEST, marked, spans } from "./sgr";
import { ago, clockTime, count, duration } from "./text";

describe("numbers and times read as on the server", () => {
  const now = 1_763_900_000_000;
  test.each(textCases.ago as [number, string][])("%d s ago", (seconds, wanted) => {
    expect(ago(now - seconds * 1000, now)).toBe(wanted);
  });
  test.each(textCases.duration_ms as [number, string][])("%d ms", (ms, wanted) => {
    expect(duration(ms)).toBe(wanted);
  });
  test.each(textCases.count as [number, string][])("%d", (number, wanted) => {
    expect(count(number)).toBe(wanted);
  });
  test("the time of a line has milliseconds", () => {
    expect(clockTime(1_763_900_000_123_456)).toBe("12:13:20.123");
  });
});

describe("console text", () => {
  test.each(consoleCases as { what: string; line: string; spans: [string, string][] }[])("$what", ({ line, spans: wanted }) => {
    expect(spans(line).map((span) => [span.classes, span.text])).toEqual(wanted);
  });
  test("no pair of bytes after an escape leaves a control character", () => {
    for (let first = 0; first < 256; first += 1) {
      for (let second = 0; second < 256; second += 1) {
        const line = `x\u001b${String.fromCharCode(first, second)}m\n`;
        const text = spans(line).map((span) => span.text).join("");
        expect(/[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/.test(text), JSON.stringify(line)).toBe(false);
      }
    }
  });
  test("an endless line is cut and counted", () => {
    const parts = spans("x".repeat(LONGEST + 5));
    expect(parts[0]?.text.length).toBe(LONGEST);
    expect(parts[1]?.text).toBe(" … 5 more");
  });
  test("a match is marked across styles, upper and lower case alike", () => {
    const parts = marked(spans("a \u001b[1mKer\u001b[0mnel kernel"), "kernel");
    expect(parts.filter((part) => part.isMatch).map((part) => part.text)).toEqual(["Ker", "nel", "kernel"]);
    expect(parts.map((part) => part.text).join("")).toBe("a Kernel kernel");
    expect(marked(spans("abc"), "").some((part) => part.isMatch)).toBe(false);
  });
  test("bytes that end within a character or a line are put together", () => {
    const lines = new ConsoleLines();
    expect(lines.push(new Uint8Array([0x61, 0xc2]))).toEqual({ lines: [], partial: "a" });
    expect(lines.push(new Uint8Array([0xb5, 0x0d, 0x0a, 0x62]))).toEqual({ lines: ["aµ\r"], partial: "b" });
    expect(lines.push(new Uint8Array(5000).fill(0x78)).lines).toHaveLength(1);
  });
});

describe("a log of any length", () => {
  const view = 600;
  test("every row can be scrolled to and is then at the top", () => {
    for (const rows of [0, 1, 30, 31, 5_000, 200_000, 400_001, 3_000_000]) {
      const geometry = { rows, view };
      expect(spaceHeight(geometry)).toBeLessThanOrEqual(Math.max(MOST, view));
      const last = Math.max(0, rows - view / ROW);
      for (const row of [0, 1, 17, Math.floor(rows / 2), rows - 1, rows + 5]) {
        const wanted = Math.min(Math.max(0, row), last);
        expect(topRow(geometry, scrollTopOf(geometry, row))).toBeCloseTo(wanted, 3);
      }
    }
  });
  test("the last row is in sight at the end", () => {
    for (const rows of [40, 200_000, 3_000_000]) {
      const geometry = { rows, view };
      const { to } = visible(geometry, spaceHeight(geometry) - view);
      expect(to).toBe(rows);
    }
  });
  test("what is drawn covers what is in sight, and little more", () => {
    const geometry = { rows: 3_000_000, view };
    expect(isScaled(geometry)).toBe(true);
    for (const scrollTop of [0, 1, 12_345.5, 4_000_000]) {
      const { from, to, offset } = visible(geometry, scrollTop);
      expect(offset).toBeLessThanOrEqual(scrollTop);
      expect(offset + (to - from) * ROW).toBeGreaterThanOrEqual(scrollTop + view);
      expect(to - from).toBeLessThan(60);
    }
  });
  test("rows are all lines, or those that a filter let through", () => {
    const rows = new Rows();
    rows.grow(10);
    rows.grow(7);
    expect([rows.count, rows.numberAt(0), rows.numberAt(9), rows.numberAt(10)]).toEqual([10, 1, 10, undefined]);
    rows.showNone();
    rows.add([2, 5, 9]);
    rows.add([5, 9, 12]);
    expect([rows.count, rows.numberAt(2), rows.numberAt(3)]).toEqual([4, 9, 12]);
    expect([rows.rowOf(1), rows.rowOf(5), rows.rowOf(6), rows.rowOf(99)]).toEqual([0, 1, 2, 3]);
    rows.showAll();
    expect(rows.count).toBe(10);
  });
  test("numbers are found by halving", () => {
    expect([0, 3, 4, 10].map((wanted) => firstAtLeast([3, 5, 9], wanted))).toEqual([0, 0, 1, 3]);
  });
  test("lines come whole, in whatever pieces they arrive", () => {
    const cutter = new LineCutter();
    expect(cutter.push('{"a":')).toEqual([]);
    expect(cutter.push('1}\n{"b":2}\n{"c"')).toEqual(['{"a":1}', '{"b":2}']);
    expect(cutter.push(":3}")).toEqual([]);
    expect(cutter.end()).toEqual(['{"c":3}']);
    expect(cutter.end()).toEqual([]);
  });
});

describe("drawings", () => {
  test("a stepped path says its columns", () => {
    const steps = readPath("M0.0,1000V500.0H10.0V250H20V1000M30.0,1000V900H40V1000");
    expect(steps.map(({ from, to }) => [from, to])).toEqual([[0, 10], [10, 20], [30, 40]]);
    expect(steps[2]?.height).toBeCloseTo(0.1);
  });
  test("a height says its count", () => {
    for (const [samples, decades] of [[1, 5], [17, 5], [99_999, 5]] as const) {
      const height = (Math.log10(samples) + 0.35) / (decades + 0.35);
      expect(countAt(height, decades)).toBe(samples);
    }
  });
});

describe("the editor", () => {
  test("a line and a column are a place in the text", () => {
    const text = "ab\ncde\n\nf";
    expect([indexOf(text, 1, 1), indexOf(text, 2, 3), indexOf(text, 2, 99), indexOf(text, 3, 1), indexOf(text, 9, 1)]).toEqual([0, 5, 6, 7, 9]);
  });
  test("a line is marked by the worst that is said of it", () => {
    const said = [
      { line: 2, column: 1, severity: "warning" as const, message: "" },
      { line: 2, column: 4, severity: "error" as const, message: "" },
      { line: 2, column: 9, severity: "warning" as const, message: "" },
      { line: 0, column: 0, severity: "error" as const, message: "" },
    ];
    expect([...worst(said)]).toEqual([[2, "error"]]);
  });
});

describe("what concerns a page", () => {
  test("a job's page follows its job, and everything while it waits", () => {
    expect(concerns("/jobs/12", { job: { id: 12 } }, false)).toBe(true);
    expect(concerns("/jobs/12", { job: { id: 13 } }, false)).toBe(false);
    expect(concerns("/jobs/12", { job: { id: 13 } }, true)).toBe(true);
  });
  test("a board's page follows its board and the jobs on it", () => {
    expect(concerns("/boards/imx%208", { board: { name: "imx 8" } }, false)).toBe(true);
    expect(concerns("/boards/a/latency", { job: { id: 1, board: "a" } }, false)).toBe(true);
    expect(concerns("/boards/a", { job: { id: 1, board: "b" } }, false)).toBe(false);
  });
  test("lists follow everything", () => {
    expect(concerns("/", { board: { name: "x" } }, false)).toBe(true);
    expect(concerns("/jobs", {}, false)).toBe(true);
  });
});
