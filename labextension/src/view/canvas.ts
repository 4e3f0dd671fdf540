/** The window onto a picture: dragging, zooming, walking from node to node. */

import { isNode, neighbour, type GraphNode, type Heat, type Picture } from '../model/picture.js';
import { clamp, fit, reveal, zoomAt, type Size, type Viewport } from '../model/viewport.js';
import { button, el, only } from './dom.js';
import { isPlain, ownKeys } from './keys.js';
import { pictureView } from './picture.js';

const LEAST_HEIGHT = 120;
const MOST_HEIGHT = 460;
const STEP = 1.25;
/** Below this scale words cannot be read: they are left out, which keeps large graphs fluent. */
const WORDS_FROM = 0.38;

export class Canvas {
  readonly node: HTMLElement;
  private readonly window: HTMLElement;
  private picture: Picture | null = null;
  private drawing: SVGSVGElement | null = null;
  private view: Viewport = { x: 0, y: 0, scale: 1 };
  private moved = false;
  private heat: Heat = 'cost';
  private selected = '';
  private settling = 0;
  /** The scale that the drawing was last made sharp for. */
  private drawn = 0;

  constructor(private readonly select: (node: GraphNode) => void) {
    this.window = el('div', { class: 'orch-window' });
    const tools = el('div', { class: 'orch-zoom', role: 'group', 'aria-label': 'zoom' },
      button({ class: 'orch-tool', 'aria-label': 'zoom in', title: 'zoom in (+)' }, () => this.zoom(STEP), '+'),
      button({ class: 'orch-tool', 'aria-label': 'zoom out', title: 'zoom out (−)' }, () => this.zoom(1 / STEP), '−'),
      button({ class: 'orch-tool', 'aria-label': 'show all', title: 'show all (0)' }, () => this.fit(true), '⤢'));
    this.node = el('div', { class: 'orch-canvas' }, this.window, tools);
    this.listen();
  }

  /** Show a picture; one of the same graph keeps the place that the reader went to. */
  show(picture: Picture, heat: Heat, selected: string): void {
    if (picture === this.picture && heat === this.heat) {
      this.mark(selected);
      return;
    }
    const same = this.picture !== null && this.picture.path === picture.path && this.picture.name === picture.name;
    const hadFocus = this.window.contains(document.activeElement);
    this.picture = picture;
    this.heat = heat;
    this.selected = selected;
    this.drawing = pictureView(picture, { heat, selected });
    only(this.window, this.drawing);
    this.drawn = 0;
    this.moved = same && this.moved;
    if (this.moved) {
      this.place(this.view);
      this.rest();
    } else {
      this.fit(false);
    }
    if (hadFocus) {
      this.focusNode(selected);
    }
  }

  /** Another node is the selected one. */
  private mark(selected: string): void {
    for (const id of [this.selected, selected]) {
      const shape = this.shape(id);
      shape?.classList.toggle('orch-selected', id === selected);
      shape?.setAttribute('aria-pressed', String(id === selected));
      shape?.setAttribute('tabindex', id === selected ? '0' : '-1');
    }
    this.selected = selected;
  }

  private shape(id: string): SVGGElement | undefined {
    const shapes = this.drawing?.querySelectorAll<SVGGElement>('[data-node]') ?? [];
    return [...shapes].find(one => one.getAttribute('data-node') === id);
  }

  private fit(whole: boolean): void {
    const picture = this.picture;
    if (picture === null) {
      return;
    }
    const width = this.window.clientWidth || 800;
    const fitted = fit(picture, { width, height: MOST_HEIGHT }, whole);
    this.window.style.height = `${Math.round(Math.min(MOST_HEIGHT, Math.max(LEAST_HEIGHT, picture.height * fitted.scale)))}px`;
    this.moved = false;
    this.place(fit(picture, { width, height: this.window.clientHeight || MOST_HEIGHT }, whole));
    this.rest();
  }

  private place(view: Viewport): void {
    const drawing = this.drawing;
    if (drawing === null) {
      return;
    }
    this.view = view;
    drawing.style.transform = `translate(${view.x}px, ${view.y}px) scale(${view.scale})`;
    const { width } = this.size();
    this.window.classList.toggle('orch-more-left', view.x < -1);
    this.window.classList.toggle('orch-more-right', view.x + (this.picture?.width ?? 0) * view.scale > width + 1);
  }

  private size(): Size {
    return { width: this.window.clientWidth || 800, height: this.window.clientHeight || MOST_HEIGHT };
  }

  private go(view: Viewport): void {
    if (this.picture === null) {
      return;
    }
    this.moved = true;
    this.hurry();
    this.place(clamp(view, this.picture, this.size()));
  }

  /** While it moves, the compositor moves it. */
  private hurry(): void {
    this.drawing?.classList.add('orch-moving');
    clearTimeout(this.settling);
    this.settling = Number(setTimeout(() => this.rest(), 180));
  }

  /** Once it rests it is drawn for its scale again: sharp, with words where they can be read. Dragging alone changes nothing. */
  private rest(): void {
    clearTimeout(this.settling);
    if (this.drawing !== null && this.view.scale !== this.drawn) {
      this.drawn = this.view.scale;
      this.drawing.classList.remove('orch-moving');
      this.drawing.classList.toggle('orch-far', this.view.scale < WORDS_FROM);
    }
  }

  private zoom(factor: number): void {
    const { width, height } = this.size();
    this.go(zoomAt(this.view, factor, width / 2, height / 2));
  }

  // ---------------------------------------------------------------- pointer and keys
  private listen(): void {
    this.window.addEventListener('wheel', event => this.wheel(event), { passive: false });
    this.window.addEventListener('pointerdown', event => this.press(event));
    ownKeys(this.node, event => this.key(event));
    if (typeof ResizeObserver !== 'undefined') {
      new ResizeObserver(() => !this.moved && this.fit(false)).observe(this.node);
    }
  }

  private wheel(event: WheelEvent): void {
    if (!event.ctrlKey && !event.metaKey) {
      return; // a page is scrolled over its pictures
    }
    event.preventDefault();
    const box = this.window.getBoundingClientRect();
    this.go(zoomAt(this.view, Math.exp(-event.deltaY * 0.002), event.clientX - box.left, event.clientY - box.top));
  }

  private press(event: PointerEvent): void {
    if (event.button !== 0) {
      return;
    }
    const start = this.view;
    const [x, y] = [event.clientX, event.clientY];
    let far = false;
    const drag = (moving: PointerEvent): void => {
      far = far || Math.hypot(moving.clientX - x, moving.clientY - y) > 4;
      if (far) {
        this.window.classList.add('orch-dragging');
        this.go({ ...start, x: start.x + moving.clientX - x, y: start.y + moving.clientY - y });
      }
    };
    const release = (): void => {
      window.removeEventListener('pointermove', drag);
      this.window.classList.remove('orch-dragging');
      if (!far) {
        this.choose(event.target);
      }
    };
    window.addEventListener('pointermove', drag);
    window.addEventListener('pointerup', release, { once: true });
  }

  private choose(target: EventTarget | null): void {
    const id = target instanceof Element ? target.closest('[data-node]')?.getAttribute('data-node') : null;
    const node = this.picture?.nodes.find(one => one.id === id && isNode(one));
    if (node !== undefined) {
      this.select(node);
      this.focusNode(node.id);
    }
  }

  private key(event: KeyboardEvent): boolean {
    if (!isPlain(event) || !this.window.contains(document.activeElement)) {
      return false;
    }
    switch (event.key) {
      case 'ArrowLeft': case 'ArrowRight': case 'ArrowUp': case 'ArrowDown':
        return this.walk(event.key);
      case 'Enter': case ' ':
        this.choose(document.activeElement);
        return true;
      case '+': case '=':
        this.zoom(STEP);
        return true;
      case '-':
        this.zoom(1 / STEP);
        return true;
      case '0':
        this.fit(true);
        return true;
      default:
        return false;
    }
  }

  private walk(key: string): boolean {
    const picture = this.picture;
    const id = document.activeElement?.getAttribute('data-node') ?? this.selected;
    const from = picture?.nodes.find(one => one.id === id) ?? picture?.nodes.find(isNode);
    const next = picture && from ? neighbour(picture, from, key) : null;
    if (next !== null && next !== undefined) {
      this.focusNode(next.id);
    }
    return true;
  }

  private focusNode(id: string): void {
    const shape = this.shape(id);
    const node = this.picture?.nodes.find(one => one.id === id);
    if (shape === undefined || node === undefined) {
      return;
    }
    shape.focus({ preventScroll: true });
    const view = reveal(this.view, node, this.size());
    if (view.x !== this.view.x || view.y !== this.view.y) {
      this.go(view);
    }
  }
}
