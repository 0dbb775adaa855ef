// Keys for the whole page: `/` searches, Escape leaves a search.

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches("input, textarea, select, [contenteditable]");
}

/** Closes menus, but for the one that `target` lies in. */
function closeMenus(target: EventTarget | null): void {
  for (const menu of document.querySelectorAll<HTMLDetailsElement>("details.menu[open]")) {
    if (target instanceof Node && menu.contains(target)) continue;
    const hadFocus = menu.contains(document.activeElement);
    menu.open = false;
    if (hadFocus && target === null) menu.querySelector("summary")?.focus();
  }
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
    if (event.key === "Escape") closeMenus(null);
  });
  document.addEventListener("click", (event) => closeMenus(event.target));
}
