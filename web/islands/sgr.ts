// What a board said, as text that can harm no page: the same as `crates/pages/src/console.rs` does on
// the server. Colours and styles (SGR) are kept; every other escape sequence, control character and
// character that reorders text is shown as what it is and does nothing. Held to console.cases.json.

export interface Span {
  classes: string;
  text: string;
}

/** The most that is shown of one line, in characters; the rest is counted. */
export const LONGEST = 16 * 1024;

interface Style {
  bold: boolean;
  faint: boolean;
  italic: boolean;
  underline: boolean;
  strike: boolean;
  inverse: boolean;
  ink: number | null;
  ground: number | null;
}

const plain = (): Style => ({
  bold: false,
  faint: false,
  italic: false,
  underline: false,
  strike: false,
  inverse: false,
  ink: null,
  ground: null,
});

function classesOf(style: Style): string {
  const classes: string[] = [];
  if (style.bold) classes.push("t-bold");
  if (style.faint) classes.push("t-faint");
  if (style.italic) classes.push("t-italic");
  if (style.underline) classes.push("t-underline");
  if (style.strike) classes.push("t-strike");
  if (style.inverse) classes.push("t-inverse");
  if (style.ink !== null) classes.push(`t-ink-${style.ink}`);
  if (style.ground !== null) classes.push(`t-ground-${style.ground}`);
  return classes.join(" ");
}

function follow(style: Style, parameters: string): Style {
  const numbers = parameters.split(/[;:]/).map((one) => Number.parseInt(one, 10) || 0);
  let next = { ...style };
  for (let at = 0; at < numbers.length; at += 1) {
    const code = numbers[at] ?? 0;
    if (code === 0) next = plain();
    else if (code === 1) next.bold = true;
    else if (code === 2) next.faint = true;
    else if (code === 3) next.italic = true;
    else if (code === 4 || code === 21) next.underline = true;
    else if (code === 7) next.inverse = true;
    else if (code === 9) next.strike = true;
    else if (code === 22) next.bold = next.faint = false;
    else if (code === 23) next.italic = false;
    else if (code === 24) next.underline = false;
    else if (code === 27) next.inverse = false;
    else if (code === 29) next.strike = false;
    else if (code >= 30 && code <= 37) next.ink = code - 30;
    else if (code >= 40 && code <= 47) next.ground = code - 40;
    else if (code >= 90 && code <= 97) next.ink = code - 82;
    else if (code >= 100 && code <= 107) next.ground = code - 92;
    else if (code === 39) next.ink = null;
    else if (code === 49) next.ground = null;
    else if (code === 38 || code === 48) {
      let colour: number | null = null;
      if (numbers[at + 1] === 5 && at + 2 < numbers.length) {
        colour = ofTable(numbers[at + 2] ?? 0);
        at += 2;
      } else if (numbers[at + 1] === 2 && at + 4 < numbers.length) {
        colour = nearest([numbers[at + 2] ?? 0, numbers[at + 3] ?? 0, numbers[at + 4] ?? 0]);
        at += 4;
      } else {
        at = numbers.length;
      }
      if (code === 38) next.ink = colour;
      else next.ground = colour;
    }
    // Blinking and hiding are for terminals; here nothing hides.
  }
  return next;
}

function ofTable(index: number): number {
  if (index <= 15) return index;
  if (index <= 231) {
    const level = (step: number) => (step === 0 ? 0 : 55 + step * 40);
    const cube = index - 16;
    return nearest([level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6)]);
  }
  const grey = 8 + (Math.min(index, 255) - 232) * 10;
  return nearest([grey, grey, grey]);
}

type Colour = readonly [number, number, number];

const SIXTEEN: readonly Colour[] = [
  [0, 0, 0],
  [205, 0, 0],
  [0, 205, 0],
  [205, 205, 0],
  [0, 0, 238],
  [205, 0, 205],
  [0, 205, 205],
  [229, 229, 229],
  [127, 127, 127],
  [255, 0, 0],
  [0, 255, 0],
  [255, 255, 0],
  [92, 92, 255],
  [255, 0, 255],
  [0, 255, 255],
  [255, 255, 255],
];

function nearest(colour: Colour): number {
  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  SIXTEEN.forEach((other, index) => {
    const distance = other.reduce((sum, value, at) => sum + (Math.min(colour[at] ?? 0, 255) - value) ** 2, 0);
    if (distance < least) {
      least = distance;
      best = index;
    }
  });
  return best;
}

const TREACHEROUS =
  "\\u00ad\\u061c\\u180e\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb\\u{e0000}-\\u{e007f}";
const ODD = new RegExp(`[\\u0000-\\u0008\\u000a-\\u001f\\u007f-\\u009f${TREACHEROUS}]`, "u");
const ODD_EACH = new RegExp(`[\\u0000-\\u001f\\u007f-\\u009f${TREACHEROUS}]`, "gu");

function shown(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (code <= 0x1f) return String.fromCodePoint(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  return `⟨${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
}

const CSI = /^\u001b\[[\u0020-\u003f]*[\u0040-\u007e]?/;
const STRING = /^\u001b[\]PX^_][^]*?(?:\u0007|\u001b\\)/;
const STRING_START = /^\u001b[\]PX^_]/;
const SGR = /^\u001b\[([\d;:]*)m$/;

function sequenceAt(text: string): string {
  const csi = CSI.exec(text);
  if (csi) return csi[0];
  const string = STRING.exec(text);
  if (string) return string[0];
  if (STRING_START.test(text)) return text.slice(0, 2);
  const following = text.charCodeAt(1);
  return following >= 0x20 && following <= 0x7e ? text.slice(0, 2) : text.slice(0, 1);
}

/** One line in its styles. */
export function spans(line: string): Span[] {
  const found: Span[] = [];
  const push = (classes: string, text: string) => {
    const last = found.at(-1);
    if (last && last.classes === classes) last.text += text;
    else found.push({ classes, text });
  };
  let rest = line.replace(/[\r\n]+$/, "");
  let more = 0;
  if (rest.length > LONGEST) {
    const characters = [...rest];
    more = Math.max(0, characters.length - LONGEST);
    if (more > 0) rest = characters.slice(0, LONGEST).join("");
  }
  let style = plain();
  while (rest.length > 0) {
    const at = rest.search(ODD);
    if (at !== 0) {
      const end = at < 0 ? rest.length : at;
      push(classesOf(style), rest.slice(0, end));
      rest = rest.slice(end);
      continue;
    }
    const sequence = rest[0] === "\u001b" ? sequenceAt(rest) : String.fromCodePoint(rest.codePointAt(0) ?? 0);
    const parameters = SGR.exec(sequence);
    if (parameters) style = follow(style, parameters[1] ?? "");
    else push("t-control", sequence.replace(ODD_EACH, shown));
    rest = rest.slice(sequence.length);
  }
  if (more > 0) push("t-control", ` … ${more} more`);
  return found;
}

/** Parts spans where a search text stands in them, upper and lower case alike. */
export function marked(parts: Span[], query: string): (Span & { isMatch: boolean })[] {
  const wanted = query.toLowerCase();
  const text = parts.map((part) => part.text).join("").toLowerCase();
  const edges: number[] = [];
  // Some characters change their length with their case; then nothing is marked rather than the wrong.
  if (wanted && text.length === parts.reduce((sum, part) => sum + part.text.length, 0)) {
    for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + wanted.length)) {
      edges.push(at, at + wanted.length);
    }
  }
  const result: (Span & { isMatch: boolean })[] = [];
  let from = 0;
  let edge = 0;
  for (const part of parts) {
    const end = from + part.text.length;
    let at = from;
    while (at < end) {
      while (edge < edges.length && (edges[edge] ?? 0) <= at) edge += 1;
      const stop = Math.min(end, edges[edge] ?? end);
      result.push({ classes: part.classes, text: part.text.slice(at - from, stop - from), isMatch: edge % 2 === 1 });
      at = stop;
    }
    from = end;
  }
  return result;
}

/** One line as nodes: text only, whatever stands in it. */
export function nodes(line: string, query = ""): Node[] {
  return marked(spans(line), query).map((part) => {
    const text = document.createTextNode(part.text);
    if (!part.classes && !part.isMatch) return text;
    const element = document.createElement(part.isMatch ? "mark" : "span");
    if (part.classes) element.className = part.classes;
    element.append(text);
    return element;
  });
}
