// The script that every page loads. Pages are complete without it; it makes them live.
// Each island is loaded only where the page has a place for it.
import { startLive } from "./live";
import { startKeys } from "./keys";
import { startTheme } from "./theme";
import { startTimes } from "./times";
import { startForms } from "./forms";

startTheme();
startTimes();
startKeys();
startForms();

const log = document.querySelector<HTMLElement>("[data-log]");
if (log) void import("./log/island").then((island) => island.start(log));

const editor = document.querySelector<HTMLFormElement>("[data-editor]");
if (editor) void import("./editor").then((island) => island.start(editor));

const board = document.querySelector<HTMLElement>("[data-console]");
if (board) void import("./board-console").then((island) => island.start(board));

const plots = () => {
  if (document.querySelector("[data-plot]")) {
    void import("./plot").then((island) => island.start(document));
  }
};
plots();

startLive(plots);
