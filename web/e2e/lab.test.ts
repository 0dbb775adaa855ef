// The pages of a lab that serves: `basalt serve` over simulated boards.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BrowserContextOptions } from "playwright-core";
import { overhang, until, violations, visit, withBrowser } from "./browser";
import { KERNEL, type Lab, startLab } from "./site";

let lab: Lab;
/** Who logged in by the link. */
let session: BrowserContextOptions["storageState"];

withBrowser();

beforeAll(async () => {
  lab = await startLab();
});

afterAll(async () => {
  await lab?.end();
});

const look = (act: Parameters<typeof visit>[2], options: Parameters<typeof visit>[1] = {}) => {
  if (!session) throw new Error("nobody has logged in");
  return visit(lab.url, { storageState: session, ...options }, act);
};

const measuring = (name: string, limit: number) => `  - test:
      realtime:
        - {name: ${name}, measure: cyclictest, duration: 5s, interval: 1000us, limit: ${limit}us}
`;

/** Prints this many lines, some of which are not for terminals. */
const talking = (lines: number) => `  - test:
      definitions:
        - from: inline
          name: talk
          path: inline/talk.yaml
          repository:
            metadata: {format: Lava-Test Test Definition 1.0, name: talk}
            run:
              steps:
                - 'printf "<b>bold?</b> \\033]52;c;b3duZWQ=\\007 \\033[2J \\033[31mred\\033[0m\\n"'
                - 'seq 1 ${lines}'
                - 'echo "the needle is here"'
                - 'lava-test-case said --result pass'
`;

async function submit(job: string): Promise<number> {
  return ((await lab.api("POST", "/api/v1/jobs", job)) as { id: number }).id;
}

async function finished(id: number, limitMs = 240_000): Promise<{ outcome: string }> {
  return until(
    `job ${id} to finish`,
    async () => (await lab.api("GET", `/api/v1/jobs/${id}`)) as { state: string; outcome: string },
    (job) => job.state === "finished",
    limitMs,
  );
}

describe("logging in", () => {
  test("everything leads to the login, and the link lets in, once", async () => {
    await visit(lab.url, {}, async ({ page, context }) => {
      await page.goto("/jobs?state=queued");
      expect(new URL(page.url()).pathname).toBe("/login");
      expect(await violations(page)).toEqual([]);
      await page.goto(lab.link);
      await page.getByRole("button", { name: "Log in" }).click();
      await page.waitForURL(`${lab.url}/`);
      await page.getByText("browser-lab").first().waitFor();
      session = await context.storageState();
    });
    await visit(lab.url, {}, async ({ page }) => {
      await page.goto(lab.link);
      await page.getByRole("button", { name: "Log in" }).click();
      await page.getByText("This link is not good any more").waitFor();
    });
  });
});

describe("what a browser is told", () => {
  test("pages run nothing inline and nothing from elsewhere, and their files are kept", async () => {
    const page = await fetch(`${lab.url}/login`);
    const policy = page.headers.get("content-security-policy") ?? "";
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain("unsafe");
    const html = await page.text();
    expect(html).not.toMatch(/<script(?![^>]* src=)|\son[a-z]+=|style=/);
    for (const address of [/href="(\/assets\/basalt-[^"]+)"/, /src="(\/assets\/main-[^"]+)"/].map((found) => found.exec(html)?.[1])) {
      const file = await fetch(`${lab.url}${address}`);
      expect(file.headers.get("cache-control")).toContain("immutable");
      const again = await fetch(`${lab.url}${address}`, { headers: { "if-none-match": file.headers.get("etag") ?? "" } });
      expect(again.status).toBe(304);
    }
    expect((await fetch(`${lab.url}/assets/nothing.js`)).status).toBe(404);
  });
});

describe("a job", () => {
  test("is written and submitted on a page, runs before one's eyes, and shows what it measured", async () => {
    await look(async ({ page }) => {
      await page.goto("/");
      await until("the boards", () => page.locator(".tile").count(), (count) => count === 2);
      await page.getByRole("banner").getByRole("link", { name: "Submit a job" }).click();
      const text = page.getByRole("textbox", { name: "Definition" });
      await text.fill(lab.job("browser-measures", measuring("idle", 400)).replace("priority: medium", "priority: wrong"));
      await page.locator(".editor-gutter .has-error").waitFor();
      await text.fill(lab.job("browser-measures", measuring("idle", 400)));
      await until("no mistakes", () => page.locator("[data-editor-state]").textContent(), (said) => said === "no mistakes");
      expect(await page.locator("[data-editor-candidates] li").count()).toBe(2);
      await page.getByRole("button", { name: "Submit", exact: true }).click();
      await page.waitForURL(/\/jobs\/\d+$/);
      // From here on nothing is reloaded by hand.
      await page.locator("h1", { hasText: "browser-measures" }).waitFor();
      await page.locator(".title .state", { hasText: "pass" }).waitFor({ timeout: 180_000 });
      const lines = page.locator("[data-log-count]");
      await until("the log", async () => Number((await lines.textContent())?.replace(/\D/g, "")), (count) => count > 50);
      // The page of a job that ended before it was loaded begins at the log's first line.
      await page.locator("[data-log-view]").evaluate((one) => (one.scrollTop = one.scrollHeight));
      await page.locator(".log-window .line-text", { hasText: "finished: pass" }).waitFor();
      await page.locator(".verdict", { hasText: "idle" }).waitFor();
      expect(await page.locator(".plot-histogram path.line").count()).toBeGreaterThanOrEqual(1);
      expect(await page.locator(".plot-histogram .limit-label").textContent()).toContain("limit 400 µs");
      expect(await page.locator("#environment dd", { hasText: KERNEL }).count()).toBeGreaterThan(0);
      expect(await page.locator(".steps .step").count()).toBeGreaterThan(4);
      const raw = page.getByRole("link", { name: "Raw file" });
      const href = await raw.getAttribute("href");
      const file = await page.request.get(href ?? "");
      expect(file.status()).toBe(200);
      expect(await file.text()).toContain("histogram");
      expect(await violations(page)).toEqual([]);
    });
  });

  test("waits with its reason, is canceled on its page, and the board is taken out of service and brought back", async () => {
    await look(async ({ page }) => {
      page.on("dialog", (dialog) => void dialog.accept());
      await page.goto("/boards/sim-2");
      await page.getByLabel("Why it leaves service").fill("being rewired");
      await page.getByRole("button", { name: "Into maintenance" }).click();
      await page.locator(".title .state", { hasText: "maintenance" }).waitFor();
      const id = await submit(lab.job("waits", measuring("idle", 400), "device_type: simulated-test\ndevice: sim-2"));
      await page.goto(`/jobs/${id}`);
      await page.locator(".notice.busy .sentence", { hasText: "being rewired" }).waitFor();
      await page.goto("/");
      await page.locator(".queue .name", { hasText: "waits" }).waitFor();
      await page.goto(`/jobs/${id}`);
      await page.getByRole("button", { name: "Cancel" }).click();
      await page.locator(".title .state", { hasText: "canceled" }).waitFor();
      await page.goto("/boards/sim-2");
      await page.getByRole("button", { name: "Back into service" }).click();
      await page.locator(".title .state", { hasText: "idle" }).waitFor();
    });
  });

  test("that talks a lot is scrolled and searched, and harms nobody", async () => {
    const id = await submit(lab.job("talks", talking(200_000)));
    expect((await finished(id)).outcome).toBe("pass");
    await look(async ({ page }) => {
      await page.goto(`/jobs/${id}`);
      const lines = Number((await page.locator("[data-log-count]").textContent())?.replace(/\D/g, ""));
      expect(lines).toBeGreaterThan(200_000);
      const log = page.locator("[data-log-view]");
      await page.locator(".log-window .line-time:not(:empty)").first().waitFor();
      await log.evaluate((one) => (one.scrollTop = one.scrollHeight / 2));
      await page.locator(".log-window .line-text", { hasText: /^\d{5,6}$/ }).first().waitFor();
      await page.getByLabel("Search the whole log").fill("the NEEDLE is here");
      await page.locator(".is-match-now mark").waitFor();
      expect(Number(await page.locator(".is-match-now .line-number").textContent())).toBeGreaterThan(200_000);
      await page.getByLabel("Search the whole log").fill("<b>bold?</b>");
      await page.locator(".is-match-now .line-text", { hasText: "<b>bold?</b>" }).waitFor();
      const shown = await page.locator(".log-window").innerText();
      expect(shown).toContain("<b>bold?</b>");
      expect(shown).toContain("␛]52;c;b3duZWQ=␇");
      expect(await page.locator(".log-window b").count()).toBe(0);
      await page.locator(".log-window .t-ink-1", { hasText: "red" }).first().waitFor();
    });
  });
});

describe("every page of a lab that has worked", () => {
  for (const colorScheme of ["light", "dark"] as const) {
    test(`is accessible and fits, ${colorScheme}`, async () => {
      const jobs = (await lab.api("GET", "/api/v1/jobs")) as { items: { id: number }[] };
      const paths = ["/", "/jobs", "/jobs?outcome=pass", "/boards", "/boards/sim-1", "/boards/sim-1/latency", "/dispatchers", "/jobs/new", ...jobs.items.map((job) => `/jobs/${job.id}`)];
      for (const width of [1280, 390]) {
        await look(
          async ({ page }) => {
            for (const path of paths) {
              await page.goto(path);
              await page.locator("[data-theme-toggle]:visible").waitFor();
              expect(await violations(page), path).toEqual([]);
              expect(await overhang(page), path).toBe(0);
            }
          },
          { colorScheme, viewport: { width, height: 860 } },
        );
      }
    });
  }
  test("the board's measurements stand in its trend", async () => {
    await look(async ({ page }) => {
      await page.goto("/jobs?outcome=pass");
      await page.locator(".name", { hasText: "browser-measures" }).click();
      const board = (await page.locator(".facts a").first().textContent()) ?? "";
      await page.goto(`/boards/${board}/latency`);
      expect(await page.locator(".plot-trend .mark").count()).toBeGreaterThanOrEqual(1);
      await page.getByText(KERNEL).first().waitFor();
    });
  });
});
