// Every page over made-up values: looks, keys, screen readers, no scripts, hostile consoles, logs of
// any length. The showroom is an example of `basalt-pages`.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { overhang, until, violations, visit, withBrowser } from "./browser";
import { type Program, program, start } from "./program";

const PAGES = [
  "/",
  "/empty",
  "/jobs",
  "/jobs?q=nothing-is-called-so",
  "/jobs/1281",
  "/jobs/1282",
  "/jobs/1284",
  "/jobs/1286",
  "/jobs/new",
  "/boards",
  "/boards/virt-arm64-1",
  "/boards/virt-arm64-2",
  "/boards/virt-arm64-4",
  "/boards/virt-arm64-1/latency",
  "/boards/virt-arm64-2/latency",
  "/dispatchers",
  "/login",
  "/login?token=x",
  "/login?refused=1",
];

let showroom: Program;
let base: string;

withBrowser();

beforeAll(async () => {
  showroom = start(program("BASALT_SHOWROOM"), []);
  base = (await showroom.line(/^http:\S+$/))[0];
});

afterAll(async () => {
  await showroom?.end();
});

describe("every page", () => {
  for (const colorScheme of ["light", "dark"] as const) {
    test.each(PAGES)(`%s is accessible, ${colorScheme}`, async (path) => {
      await visit(base, { colorScheme }, async ({ page }) => {
        await page.goto(path);
        await page.locator("[data-theme-toggle]:visible").waitFor();
        expect(await violations(page)).toEqual([]);
        expect(await overhang(page)).toBe(0);
      });
    });
  }
  test.each(PAGES)("%s fits a phone", async (path) => {
    await visit(base, { viewport: { width: 390, height: 844 } }, async ({ page }) => {
      await page.goto(path);
      await page.locator("[data-theme-toggle]:visible").waitFor();
      expect(await overhang(page)).toBe(0);
      expect(await violations(page)).toEqual([]);
    });
  });
  test.each(PAGES)("%s can be read without scripts", async (path) => {
    await visit(base, { javaScriptEnabled: false }, async ({ page }) => {
      await page.goto(path);
      expect((await page.locator("h1").first().textContent())?.trim()).not.toBe("");
      // Nothing waits for a script that does not come.
      expect(await page.locator("[data-log-tools]:visible").count()).toBe(0);
    });
  });
  test("a page that is not there says so, and leads back", async () => {
    await visit(base, { expected: /404/ }, async ({ page }) => {
      const answer = await page.goto("/nothing");
      expect(answer?.status()).toBe(404);
      await page.getByRole("link", { name: "To the overview" }).click();
      await page.waitForURL(`${base}/`);
    });
  });
});

describe("a job's page without scripts", () => {
  test("shows the log's end, the results, the histogram and the environment", async () => {
    await visit(base, { javaScriptEnabled: false }, async ({ page }) => {
      await page.goto("/jobs/1281");
      expect(await page.locator(".log .line").count()).toBe(200);
      expect(await page.getByText("The last 200 of 200\u202f000 lines.").count()).toBe(1);
      expect(await page.locator(".plot-histogram path.line").count()).toBeGreaterThanOrEqual(8);
      expect(await page.getByText("6.1.0-37-rt-arm64", { exact: true }).count()).toBe(1);
      expect(await page.getByRole("link", { name: "Raw file" }).first().getAttribute("href")).toMatch(/^\/api\/v1\/runs\/.*\.json$/);
    });
  });
});

describe("the theme", () => {
  test("follows the system until somebody chooses, and the choice is remembered", async () => {
    await visit(base, { colorScheme: "dark" }, async ({ page }) => {
      const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
      await page.goto("/");
      expect(await ground()).toBe("rgb(13, 16, 19)");
      await page.getByRole("button", { name: "Light theme" }).click();
      expect(await ground()).toBe("rgb(244, 245, 246)");
      await page.goto("/jobs");
      // The server sends the page in its theme: nothing flashes.
      expect(await page.locator("html").getAttribute("data-theme")).toBe("light");
      expect(await ground()).toBe("rgb(244, 245, 246)");
    });
  });
  test("changes nothing for who wants less motion but the motion", async () => {
    await visit(base, { reducedMotion: "reduce" }, async ({ page }) => {
      await page.goto("/");
      const spins = page.locator(".turning").first();
      expect(await spins.evaluate((one) => getComputedStyle(one).animationIterationCount)).toBe("1");
    });
  });
});

describe("the keyboard", () => {
  test("reaches the content at once, then everything in order, and always shows where it is", async () => {
    await visit(base, {}, async ({ page }) => {
      await page.goto("/");
      await page.locator("[data-theme-toggle]:visible").waitFor();
      await page.keyboard.press("Tab");
      const skip = page.getByRole("link", { name: "Skip to the content" });
      expect(await skip.evaluate((one) => one === document.activeElement)).toBe(true);
      expect((await skip.boundingBox())?.y).toBeGreaterThanOrEqual(0);
      await page.keyboard.press("Enter");
      expect(await page.evaluate(() => document.activeElement?.id)).toBe("main");
      for (let step = 0; step < 12; step += 1) {
        await page.keyboard.press("Tab");
        const outline = await page.evaluate(() => {
          const style = getComputedStyle(document.activeElement ?? document.body);
          return { element: document.activeElement?.outerHTML.slice(0, 80), style: style.outlineStyle, width: parseFloat(style.outlineWidth) };
        });
        expect(outline.style, outline.element).toBe("solid");
        expect(outline.width, outline.element).toBeGreaterThanOrEqual(2);
      }
    });
  });
  test("/ searches jobs, and the log where there is one", async () => {
    await visit(base, {}, async ({ page }) => {
      await page.goto("/boards");
      await page.locator("[data-theme-toggle]:visible").waitFor();
      await page.keyboard.press("/");
      await page.keyboard.type("bisect");
      await page.keyboard.press("Enter");
      await page.waitForURL(/\/jobs\?q=bisect/);
      await page.goto("/jobs/1281");
      await page.locator("[data-log-tools]:visible").waitFor();
      await page.keyboard.press("/");
      expect(await page.evaluate(() => document.activeElement?.getAttribute("aria-label"))).toBe("Search the whole log");
    });
  });
  test("opens the account's menu and closes it again", async () => {
    await visit(base, {}, async ({ page }) => {
      await page.goto("/");
      await page.locator("[data-theme-toggle]:visible").waitFor();
      await page.locator(".menu > summary").focus();
      await page.keyboard.press("Enter");
      expect(await page.getByRole("button", { name: "Log out" }).isVisible()).toBe(true);
      await page.keyboard.press("Escape");
      expect(await page.getByRole("button", { name: "Log out" }).isVisible()).toBe(false);
    });
  });
});

describe("a log of 200 000 lines", () => {
  const open = async (act: Parameters<typeof visit>[2], path = "/jobs/1281") =>
    visit(base, {}, async (look) => {
      await look.page.goto(path);
      await look.page.locator(".log-window .line-time:not(:empty)").first().waitFor();
      await act(look);
    });
  const rows = ".log-window .line";

  test("is scrolled from its first line to its last with few lines on the page", async () => {
    await open(async ({ page }) => {
      const log = page.locator("[data-log-view]");
      expect(await page.locator(rows).first().locator(".line-number").textContent()).toBe("1");
      await log.evaluate((one) => (one.scrollTop = one.scrollHeight / 2));
      await page.locator(".line-number", { hasText: /^100000$/ }).waitFor();
      await page.getByText("[  100.700000] cyclictest").waitFor();
      await log.evaluate((one) => (one.scrollTop = one.scrollHeight));
      await page.locator(".line-number", { hasText: /^200000$/ }).waitFor();
      await page.locator(`${rows}.is-blank`).first().waitFor({ state: "detached" });
      expect(await page.locator(rows).count()).toBeLessThan(80);
    });
  });

  test("is searched as a whole, upper and lower case alike, from match to match", async () => {
    await open(async ({ page }) => {
      await page.getByLabel("Search the whole log").fill("NEEDLE: latency");
      await page.locator(".is-match-now mark").waitFor();
      expect(await page.locator(".is-match-now .line-number").textContent()).toBe("123456");
      expect(await page.locator(".is-match-now mark").textContent()).toBe("needle: latency");
      expect(await page.locator("[data-log-found]").textContent()).toBe("1/1");

      await page.getByLabel("Search the whole log").fill("end: 3.");
      const at = () => page.locator(".is-match-now .line-number").textContent();
      // The first one from where the log stood.
      await until("the first match", at, (number) => number === "129649");
      await page.getByRole("button", { name: "Next match" }).click();
      await until("the next match", at, (number) => number === "139622");
      await page.getByLabel("Search the whole log").press("Shift+Enter");
      await until("the match before", at, (number) => number === "129649");
      expect(await page.locator("[data-log-found]").textContent()).toBe("13/20");

      await page.getByLabel("Search the whole log").fill("no line holds this");
      await until("what is said", () => page.locator("[data-log-found]").textContent(), (text) => text === "none");
    });
  });

  test("is narrowed to levels, and keeps its numbers", async () => {
    await open(async ({ page }) => {
      await page.getByLabel("Level").selectOption("error");
      await page.locator(".line.level-error").waitFor();
      await until("the lines", () => page.locator(rows).count(), (count) => count === 1);
      expect(await page.locator(`${rows} .line-number`).textContent()).toBe("123456");
      await page.getByLabel("Level").selectOption("results");
      await page.locator(".line.level-results").first().waitFor();
      await page.locator("[data-log-view]").evaluate((one) => (one.scrollTop = 0));
      await until("the first result", () => page.locator(`${rows} .line-number`).first().textContent(), (number) => number === "4001");
      await page.getByLabel("Level").selectOption("");
      await until("all lines", () => page.locator(rows).count(), (count) => count > 20);
    });
  });

  test("is opened at a line that a link names, and a line makes its link", async () => {
    await open(async ({ page }) => {
      const line = page.locator(".line.is-target");
      await line.locator(".line-text", { hasText: "needle" }).waitFor();
      expect(await line.locator(".line-number").textContent()).toBe("123456");
      await page.locator(".line-number", { hasText: /^123458$/ }).click();
      expect(new URL(page.url()).hash).toBe("#L123458");
    }, "/jobs/1281#L123456");
  });

  test("is shown from the step that was asked for", async () => {
    await open(async ({ page }) => {
      await page.locator(".steps").getByRole("link", { name: "stress" }).click();
      const number = await until("the line", () => page.locator(".is-target .line-number").textContent({ timeout: 30_000 }), (text) => text !== null);
      // Steps and lines have their times; the showroom's clock moves between the two.
      expect(Math.abs(Number(number) - 120_000)).toBeLessThan(20_000);
    });
  });
});

describe("a log that grows", () => {
  test("is followed until somebody scrolls up, and again when asked", async () => {
    await visit(base, {}, async ({ page }) => {
      await page.goto("/jobs/1284");
      const counter = page.locator("[data-log-count]");
      const number = async () => Number((await counter.textContent())?.replace(/\D/g, ""));
      const log = page.locator("[data-log-view]");
      const last = () => log.evaluate((one) => Math.round(one.scrollHeight - one.scrollTop - one.clientHeight));
      await until("more lines", number, (count) => count > 330);
      await until("the end in sight", last, (below) => below < 2);
      await log.hover();
      await page.mouse.wheel(0, -600);
      await until("following ends", () => page.locator("[data-log-follow]").getAttribute("aria-pressed"), (text) => text === "false");
      const count = await number();
      await until("lines go on coming", number, (now) => now > count + 5);
      expect(await last()).toBeGreaterThan(200);
      await page.getByRole("button", { name: "Follow" }).click();
      await until("the end in sight again", last, (below) => below < 2);
      // What came is text, drawn once: no line twice, none missing.
      const numbers = await page.locator(".log-window .line-number").allTextContents();
      expect(numbers.map(Number)).toEqual(numbers.map((_, index) => Number(numbers[0]) + index));
    });
  });
});

describe("what a board says", () => {
  test("is text: no markup, no escape, no clipboard, no reordering", async () => {
    await visit(base, { permissions: ["clipboard-read", "clipboard-write"] }, async ({ page }) => {
      await page.goto("/jobs/1281");
      await page.evaluate(() => navigator.clipboard.writeText("mine"));
      await page.locator(".log-window .line-time:not(:empty)").first().waitFor();
      await page.locator("[data-log-view]").evaluate((one) => (one.scrollTop = 38 * 20));
      await page.locator(".line-number", { hasText: /^45$/ }).waitFor();
      const text = await page.locator(".log-window").innerText();
      expect(text).toContain("<script>document.title='owned'</script>");
      expect(text).toContain("␛[2J␛[1;1H");
      expect(text).toContain("␛]52;c;b3duZWQ=␇");
      expect(text).toContain("⟨202E⟩");
      expect(text).toContain("hidden");
      expect(text).toContain("10 %␍20 %␍30 %␈␀");
      expect(await page.locator(".log-window script, .log-window img").count()).toBe(0);
      expect(await page.title()).not.toContain("owned");
      expect(await page.evaluate(() => navigator.clipboard.readText())).toBe("mine");
    });
  });
  test("is in its colours, and comes live on the board's page", async () => {
    await visit(base, {}, async ({ page }) => {
      await page.goto("/boards/virt-arm64-1");
      await page.locator(".console .t-ink-2", { hasText: "Core:  49 devices" }).first().waitFor();
      await page.locator(".console .line", { hasText: "Hit any key to stop autoboot" }).first().waitFor();
    });
  });
});

describe("drawings", () => {
  test("a histogram has a line a CPU, a logarithmic axis, its limit, and says what is under the pointer", async () => {
    await visit(base, {}, async ({ page }) => {
      await page.goto("/jobs/1281");
      const panel = page.locator("#phase-0-stress");
      const figure = panel.locator(".plot-histogram");
      await figure.scrollIntoViewIfNeeded();
      expect(await figure.locator("path.line").count()).toBe(4);
      const ticks = await figure.locator("text.tick").allTextContents();
      expect(ticks).toEqual(expect.arrayContaining(["1", "10", "100", "1k", "10k"]));
      expect(await figure.locator(".limit-label").textContent()).toBe("limit 100 µs");
      const limit = await figure.locator(".limit-line").boundingBox();
      const area = await figure.locator("[data-catch]").boundingBox();
      if (!limit || !area) throw new Error("the histogram has no place");
      // The worst sample stands right of the limit, in its CPU's colour.
      const end = Number(await figure.getAttribute("data-end-us"));
      const worst = area.x + (642.5 / end) * area.width;
      expect(limit.x).toBeLessThan(worst);
      await page.mouse.move(worst, area.y + area.height - 4);
      await until("what is read off", () => figure.locator("[data-readout]").textContent(), (text) => text === "642 µs: CPU 1 1");
      await figure.getByRole("button", { name: /CPU 1/ }).click();
      expect(await figure.locator("path.line:visible").count()).toBe(3);
      await page.mouse.move(worst, area.y + area.height - 6);
      await until("what is read off", () => figure.locator("[data-readout]").textContent(), (text) => text === "642 µs: no samples");
    });
  });
  test("a trend's runs are links that the keyboard reaches and that say what they are", async () => {
    await visit(base, { expected: /404/ }, async ({ page }) => {
      await page.goto("/boards/virt-arm64-1/latency");
      expect(await page.locator(".plot-trend .mark").count()).toBe(42);
      expect(await page.locator(".plot-trend .mark.above").count()).toBe(1);
      const mark = page.getByRole("link", { name: /^Job 1242: max 1\d\d µs/ });
      await page.locator(".hint").waitFor({ state: "attached" });
      await mark.focus();
      expect(await page.locator(".hint").textContent()).toMatch(/^Job 1242: max 1\d\d µs, p99\.99 \d+ µs, fail, 6\.12\.9-rt1/);
      await page.keyboard.press("Enter");
      await page.waitForURL(/\/jobs\/1242$/);
    });
  });
});

describe("live pages", () => {
  test("change in place: focus, scroll, opened details and what is typed stay", async () => {
    await visit(base, {}, async ({ page }) => {
      let fetched = 0;
      page.on("request", (request) => {
        if (request.headers()["basalt-refresh"]) fetched += 1;
      });
      await page.goto("/");
      await page.locator(".queue details summary").first().click();
      await page.evaluate(() => scrollTo(0, 200));
      await page.locator(".queue details summary").nth(1).focus();
      await page.evaluate(() => ((window as unknown as { mine: Element | null }).mine = document.activeElement));
      await page.locator(".find input").evaluate((one) => ((one as HTMLInputElement).value = "half a wo"));
      const before = fetched;
      await until("the page is fetched again", async () => fetched, (count) => count >= before + 2);
      expect(await page.evaluate(() => (window as unknown as { mine: Element | null }).mine === document.activeElement)).toBe(true);
      expect(await page.locator(".queue details").first().evaluate((one) => (one as HTMLDetailsElement).open)).toBe(true);
      expect(await page.evaluate(() => scrollY)).toBe(200);
      expect(await page.locator(".find input").inputValue()).toBe("half a wo");
    });
  });
  test("say when the server is away, and go on when it is back", async () => {
    const first = start(program("BASALT_SHOWROOM"), []);
    let second: Program | undefined;
    try {
      const own = (await first.line(/^http:\S+$/))[0];
      await visit(own, { expected: /Failed to load|ERR_|net::/ }, async ({ page }) => {
        await page.goto("/");
        await page.locator("[data-pulse][data-feed='on']").waitFor();
        expect(await page.locator("[data-away]").isVisible()).toBe(false);
        first.child.kill("SIGKILL");
        await page.locator("[data-away]:visible").waitFor();
        expect(await violations(page)).toEqual([]);
        // The page itself stays.
        expect(await page.locator(".tile").count()).toBe(8);
        second = start(program("BASALT_SHOWROOM"), [new URL(own).port]);
        await page.locator("[data-away]").waitFor({ state: "hidden" });
        await page.locator("[data-pulse][data-feed='on']").waitFor();
      });
    } finally {
      await first.end();
      await second?.end();
    }
  });
  test("times grow older by themselves, and have the moment behind them", async () => {
    await visit(base, {}, async ({ page }) => {
      await page.goto("/boards/virt-arm64-1/latency");
      const time = page.locator("time[data-time]").first();
      expect(await time.getAttribute("title")).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/);
      await page.goto("/jobs/1284");
      const elapsed = page.locator(".facts time[data-time='elapsed']");
      const first = await elapsed.textContent();
      await until("the time goes on", () => elapsed.textContent(), (text) => text !== first);
    });
  });
});

describe("the editor", () => {
  test("says what is wrong while it is written, at its line, and goes there", async () => {
    await visit(base, {}, async ({ page }) => {
      await page.goto("/jobs/new");
      const text = page.getByRole("textbox", { name: "Definition" });
      await page.locator(".editor-gutter .has-error", { hasText: /^3$/ }).waitFor();
      await text.fill("job_name: fine\ntags:\n- wrong\n- also wrong\n");
      await until("the marks", () => page.locator(".editor-gutter .has-error").allTextContents(), (lines) => lines.join() === "3,4");
      await page.getByRole("link", { name: "Line 4" }).click();
      const cursor = await text.evaluate((one) => {
        const area = one as HTMLTextAreaElement;
        return [document.activeElement === area, area.value.slice(area.selectionStart, area.selectionStart + 5)];
      });
      expect(cursor).toEqual([true, "wrong"]);
      await text.fill("job_name: fine\n");
      await until("no marks", () => page.locator(".editor-gutter .has-error").count(), (count) => count === 0);
      await page.getByText("Nothing is wrong with this job.").waitFor();
    });
  });
  test("without scripts it says the same after it was sent", async () => {
    await visit(base, { javaScriptEnabled: false, expected: /422/ }, async ({ page }) => {
      await page.goto("/jobs/new");
      await page.getByRole("button", { name: "Submit", exact: true }).click();
      await page.getByRole("link", { name: "Line 3" }).waitFor();
    });
  });
});
