// Keeps a page true without reloading it: when the feed says that something changed, the page is
// fetched again and what differs is put in its place.
import { type Change, concerns } from "./concerns";
import { morphChildren } from "./morph";
import { refreshTimes, setClock } from "./times";

/** Between two fetches of the page, at least. */
const PAUSE_MS = 700;
/** The server may be away so long before it is said. */
const PATIENCE_MS = 2500;
/** A browser that gave up is made to try again after this. */
const AGAIN_MS = 3000;

/** An event of the document: the page shows something that is no longer so. */
export const STALE = "basalt:stale";

export function startLive(refreshed: () => void): void {
  const regions = document.querySelectorAll("[data-live]").length;
  const pulse = document.querySelector<HTMLElement>("[data-pulse]");
  if (regions === 0) return;
  let isFetching = false;
  let isStale = false;
  let last = 0;

  const refresh = async () => {
    if (isFetching || document.hidden) {
      isStale = true;
      return;
    }
    isFetching = true;
    isStale = false;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html", "basalt-refresh": "1" }, cache: "no-store" });
      if (answer.redirected && new URL(answer.url).pathname === "/login") location.assign(answer.url);
      if (answer.ok) apply(new DOMParser().parseFromString(await answer.text(), "text/html"), refreshed);
    } catch {
      // The server is away; the feed notices, says so, and fetches again when it is back.
    }
    last = performance.now();
    isFetching = false;
    if (isStale) soon();
  };
  let timer: number | undefined;
  const soon = () => {
    isStale = true;
    if (timer !== undefined) return;
    const wait = Math.max(60, PAUSE_MS - (performance.now() - last));
    timer = window.setTimeout(() => {
      timer = undefined;
      void refresh();
    }, wait);
  };

  let impatient: number | undefined;
  const say = (isThere: boolean) => {
    if (pulse) pulse.dataset.feed = isThere ? "on" : "off";
    if (isThere) {
      clearTimeout(impatient);
      impatient = undefined;
      showAway(false);
    } else {
      impatient ??= window.setTimeout(() => showAway(true), PATIENCE_MS);
    }
  };

  let wasAway = false;
  const connect = () => {
    // From where the page is true: nothing that happened meanwhile is missed.
    const feed = new EventSource(`/api/v1/events?after=${encodeURIComponent(document.body.dataset.feed ?? "0")}`);
    feed.onopen = () => {
      say(true);
      if (wasAway) soon();
      wasAway = false;
    };
    feed.onmessage = (event: MessageEvent<string>) => heard(event.data);
    // The feed does not go back so far: everything may have changed.
    feed.addEventListener("reset", soon);
    feed.onerror = () => {
      say(false);
      wasAway = true;
      if (feed.readyState !== EventSource.CLOSED) return;
      feed.close();
      window.setTimeout(connect, AGAIN_MS);
    };
    addEventListener("pagehide", () => feed.close(), { once: true });
  };
  const heard = (data: string) => {
    let change: Change = {};
    try {
      change = JSON.parse(data) as Change;
    } catch {
      // A change that cannot be read is a change.
    }
    const isWaiting = document.querySelector("[data-live='nothing'] , [data-live='said'] .notice.busy") !== null;
    if (concerns(location.pathname, change, isWaiting)) soon();
  };
  connect();
  document.addEventListener(STALE, soon);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && isStale) soon();
  });
  addEventListener("pageshow", (event) => {
    if (!event.persisted) return;
    connect();
    soon();
  });
}

function showAway(isAway: boolean): void {
  const banner = document.querySelector<HTMLElement>("[data-away]");
  if (!banner || banner.hidden === !isAway) return;
  const since = banner.querySelector("[data-away-since]");
  if (isAway && since) since.textContent = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  banner.hidden = !isAway;
}

function apply(next: Document, refreshed: () => void): void {
  const script = (page: Document) => page.querySelector<HTMLScriptElement>("script[src]")?.getAttribute("src");
  if (script(next) !== script(document)) {
    // The server is another release; its pages want their own scripts.
    location.reload();
    return;
  }
  const structure = (page: Document) => [...page.querySelectorAll("[data-live]")].map((one) => one.getAttribute("data-live")).join();
  const log = (page: Document) => page.querySelector("[data-log]")?.getAttribute("data-log") ?? "";
  if (structure(next) !== structure(document) || log(next) !== log(document)) {
    // The page has other parts now: a first run, another run. Rare, and worth a fresh page.
    location.reload();
    return;
  }
  setClock(next.body);
  document.body.dataset.feed = next.body.dataset.feed;
  for (const region of document.querySelectorAll("[data-live]")) {
    const name = region.getAttribute("data-live") ?? "";
    const fresh = next.querySelector(`[data-live="${CSS.escape(name)}"]`);
    if (fresh) morphChildren(region, fresh);
  }
  const panel = document.querySelector<HTMLElement>("[data-log]");
  const freshPanel = next.querySelector<HTMLElement>("[data-log]");
  if (panel && freshPanel) panel.toggleAttribute("data-goes-on", freshPanel.hasAttribute("data-goes-on"));
  document.title = next.title;
  refreshTimes();
  refreshed();
}
