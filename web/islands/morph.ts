// Makes one tree like another and touches only what differs: focus, selection, scroll positions,
// opened details and whatever is being typed stay.

/** Makes `current`'s children like those of `next`. */
export function morphChildren(current: Element, next: Element): void {
  const keyed = new Map<string, Element>();
  for (const child of current.children) {
    const key = keyOf(child);
    if (key) keyed.set(key, child);
  }
  let place: ChildNode | null = current.firstChild;
  for (const wanted of [...next.childNodes]) {
    const match = find(place, wanted, keyed);
    if (!match) {
      const added = document.importNode(wanted, true);
      if (added instanceof HTMLTableRowElement) added.classList.add("is-fresh");
      current.insertBefore(added, place);
      continue;
    }
    if (match !== place) current.insertBefore(match, place);
    else place = place?.nextSibling ?? null;
    morph(match, wanted);
  }
  while (place) {
    const following: ChildNode | null = place.nextSibling;
    place.remove();
    place = following;
  }
}

function keyOf(node: Node): string | null {
  return node instanceof Element ? node.getAttribute("data-key") : null;
}

/** The node that stands for `wanted` already: the one of the same key, else the next of its kind. */
function find(place: ChildNode | null, wanted: ChildNode, keyed: Map<string, Element>): ChildNode | null {
  const key = keyOf(wanted);
  if (key) {
    const match = keyed.get(key);
    return match && match.nodeName === wanted.nodeName && match.parentNode ? match : null;
  }
  if (place && place.nodeName === wanted.nodeName && !keyOf(place)) return place;
  return null;
}

function morph(current: Node, next: Node): void {
  if (current.nodeType === Node.TEXT_NODE || current.nodeType === Node.COMMENT_NODE) {
    if (current.nodeValue !== next.nodeValue) current.nodeValue = next.nodeValue;
    return;
  }
  if (!(current instanceof Element) || !(next instanceof Element)) return;
  // What a script has drawn is its own; the script draws anew what has changed.
  if (current.isEqualNode(next)) return;
  attributes(current, next);
  morphChildren(current, next);
}

function attributes(current: Element, next: Element): void {
  for (const { name } of [...current.attributes]) {
    if (!next.hasAttribute(name) && !isVisitors(current, name)) current.removeAttribute(name);
  }
  for (const { name, value } of [...next.attributes]) {
    if (current.getAttribute(name) !== value && !isVisitors(current, name)) current.setAttribute(name, value);
  }
}

/** What belongs to who looks, not to the server: opened details, typed text. */
function isVisitors(element: Element, name: string): boolean {
  if (element instanceof HTMLDetailsElement) return name === "open";
  if (element instanceof HTMLInputElement) return name === "value" || name === "checked";
  return false;
}
