// Keys for the whole page: `/` searches, Escape leaves a search.

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches("input, textarea, select, [contenteditable]");
}

export function startKeys(): void {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/" && !isTyping(event.target)) {
      const fields = document.querySelectorAll<HTMLInputElement>("[data-log-query], [data-key-slash]");
      // The log's own search comes first, where there is one that can be seen.
      const visible = [...fields].filter((field) => field.offsetParent !== null);
      const field = visible.find((one) => one.matches("[data-log-query]")) ?? visible[0];
      if (!field) return;
      event.preventDefault();
      field.focus();
      field.select();
    }
    if (event.key === "Escape" && event.target instanceof HTMLInputElement && event.target.type === "search") {
      event.target.blur();
    }
  });
}
