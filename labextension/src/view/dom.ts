/** Making elements. Text goes in as text nodes; no attribute can carry a script or an address. */

export type Child = Node | string | null | undefined | false;
export type Attributes = Readonly<Record<string, string | number | boolean | null | undefined>>;

const SVG = 'http://www.w3.org/2000/svg';
const ALLOWED = /^(class|id|role|title|tabindex|type|value|placeholder|for|scope|colspan|hidden|disabled|selected|style-[a-z-]+|--[a-z-]+|aria-[a-z]+|data-[a-z-]+|x|y|x1|x2|y1|y2|cx|cy|r|rx|ry|d|width|height|transform|points|viewBox|preserveAspectRatio|font-size|font-weight|text-anchor|dominant-baseline|stroke-dasharray|spellcheck|autocomplete)$/;

/** An HTML element. */
export function el<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes, ...children: Child[]): HTMLElementTagNameMap[K] {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element. */
export function svg<K extends keyof SVGElementTagNameMap>(tag: K, attributes: Attributes, ...children: Child[]): SVGElementTagNameMap[K] {
  return fill(document.createElementNS(SVG, tag) as SVGElementTagNameMap[K], attributes, children);
}

function fill<T extends HTMLElement | SVGElement>(made: T, attributes: Attributes, children: readonly Child[]): T {
  for (const [name, value] of Object.entries(attributes)) {
    set(made, name, value);
  }
  for (const child of children) {
    if (child !== null && child !== undefined && child !== false) {
      made.append(child);
    }
  }
  return made;
}

function set(made: HTMLElement | SVGElement, name: string, value: string | number | boolean | null | undefined): void {
  if (value === null || value === undefined || value === false) {
    return;
  }
  if (!ALLOWED.test(name)) {
    throw new Error(`attribute ${name} is not one that views may set`);
  }
  if (name.startsWith('--')) {
    made.style.setProperty(name, String(value));
  } else if (name.startsWith('style-')) {
    made.style.setProperty(name.slice(6), String(value));
  } else {
    made.setAttribute(name, value === true ? '' : String(value));
  }
}

/** `node` with these children and no others. */
export function only(node: Element, ...children: Child[]): void {
  node.replaceChildren(...children.filter((child): child is Node | string => child !== null && child !== undefined && child !== false));
}

/** A button that does something when pressed. */
export function button(attributes: Attributes, press: () => void, ...children: Child[]): HTMLButtonElement {
  const made = el('button', { type: 'button', ...attributes }, ...children);
  made.addEventListener('click', press);
  return made;
}

/** Text in the quiet tone. */
export function quiet(said: string): HTMLElement {
  return el('span', { class: 'orch-quiet' }, said);
}
