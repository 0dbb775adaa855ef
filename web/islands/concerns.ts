// Which changes of the lab concern which page.

/** A change, as far as pages tell by it whether it concerns them; `FeedEvent` of the API. */
export interface Change {
  job?: { id: number; board?: string };
  board?: { name: string };
}

/** Whether a change concerns a page, by the page's path. */
export function concerns(path: string, change: Change, isWaiting: boolean): boolean {
  const job = /^\/jobs\/(\d+)$/.exec(path);
  // A job that waits is concerned by everything: its place and its reason may change.
  if (job) return isWaiting || change.job?.id === Number(job[1]);
  const board = /^\/boards\/([^/]+)/.exec(path);
  if (board) {
    const name = decodeURIComponent(board[1] ?? "");
    return change.board?.name === name || change.job?.board === name;
  }
  return true;
}
