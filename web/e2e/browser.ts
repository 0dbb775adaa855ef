// One Chromium for a file of tests, and what every test wants to know of a page.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { type Browser, type BrowserContext, type BrowserContextOptions, type Page, chromium } from "playwright-core";
import { afterAll, beforeAll, expect } from "vitest";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let browser: Browser;

/** Starts the browser for the tests of a file. */
export function withBrowser(): void {
  beforeAll(async () => {
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: [
        // Containers and continuous integration run as root, where Chromium's sandbox refuses to start.
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    });
  });
  afterAll(async () => {
    await browser?.close();
  });
}

export interface Look extends BrowserContextOptions {
  /** Messages of the console that are part of the test. */
  expected?: RegExp;
}

export interface Visit {
  page: Page;
  context: BrowserContext;
  /** Errors and warnings of the console, exceptions, and requests to elsewhere. */
  complaints: string[];
}

/** Opens a page in a browser of its own, does something with it, and closes it. */
export async function visit(base: string, look: Look, act: (visit: Visit) => Promise<void>): Promise<void> {
  const { expected, ...options } = look;
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, baseURL: base, ...options });
  const complaints: string[] = [];
  const page = await context.newPage();
  page.on("console", (message) => {
    if (!["error", "warning"].includes(message.type()) || expected?.test(message.text())) return;
    complaints.push(`${page.url()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`${page.url()}: ${error.message}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(base)) complaints.push(`asked for ${request.url()}`);
  });
  try {
    await act({ page, context, complaints });
    expect(complaints).toEqual([]);
  } finally {
    await context.close();
  }
}

/** What axe finds, each with its first place; nothing for a page without mistakes. */
export async function violations(page: Page): Promise<string[]> {
  // The policy of the pages forbids inline scripts; the debugger's own are not bound by it.
  await page.evaluate(axe);
  const found = await page.evaluate(async () => {
    const { axe } = window as unknown as { axe: { run: (context: Document, options: object) => Promise<{ violations: { id: string; nodes: { html: string; failureSummary?: string }[] }[] }> } };
    const result = await axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] });
    return result.violations.map(({ id, nodes }) => `${id}: ${nodes.length} × ${nodes[0]?.html.slice(0, 200)} ${nodes[0]?.failureSummary?.slice(0, 300)}`);
  });
  return found;
}

/** How far the page is wider than its window, pixels. */
export async function overhang(page: Page): Promise<number> {
  return page.evaluate(() => Math.max(0, document.documentElement.scrollWidth - innerWidth));
}

/** Waits until a condition holds; at its end it says what was there instead. */
export async function until<T>(what: string, ask: () => Promise<T>, holds: (answer: T) => boolean, limitMs = 60_000): Promise<T> {
  const end = Date.now() + limitMs;
  for (;;) {
    const answer = await ask();
    if (holds(answer)) return answer;
    if (Date.now() > end) throw new Error(`${what}: still ${JSON.stringify(answer)} after ${limitMs} ms`);
    await new Promise((done) => setTimeout(done, 50));
  }
}
