/** The trace: a tree with a waterfall. Only the rows in sight exist, so that 10,000 of them scroll like ten. */

import { EVERYTHING, isEverything, type Filter, type Trace } from '../model/trace.js';
import type { Span } from '../model/span.js';
import { counted, integer, places, seconds, word } from '../model/words.js';
import { el, only } from './dom.js';
import { isPlain, isTyping, ownKeys } from './keys.js';
import { stateGlyph } from './state.js';
import { rowView } from './trace_row.js';

export const ROW = 25;
const MORE = 8;
const MOST_ROWS_IN_SIGHT = 16;

let made = 0;

export class TraceList {
  readonly node: HTMLElement;
  private readonly bar: HTMLElement;
  private readonly told: HTMLElement;
  private readonly grid: HTMLElement;
  private readonly head: HTMLElement;
  private readonly sheet: HTMLElement;
  private readonly layer: HTMLElement;
  private readonly foot = el('div', { class: 'orch-foot orch-quiet' });
  private readonly name = `orch-trace-${++made}`;
  private readonly search: HTMLInputElement;
  private readonly agent: HTMLSelectElement;
  private readonly state: HTMLSelectElement;
  private trace: Trace | null = null;
  private rows: number[] = [];
  private folded = new Set<string>();
  private opened = new Set<string>();
  private foldedNow = new Set<number>();
  private filter: Filter = EVERYTHING;
  private current = -1;
  private selected = -1;
  private places = 4;
  private frame = 0;
  private after = '';

  constructor(private readonly select: (span: Span | null, open: boolean) => void) {
    this.search = el('input', { type: 'search', class: 'orch-search', placeholder: 'filter', 'aria-label': 'filter the trace by text', spellcheck: 'false', autocomplete: 'off' });
    this.agent = el('select', { class: 'orch-choose', 'aria-label': 'agent' });
    this.state = el('select', { class: 'orch-choose', 'aria-label': 'status' });
    this.told = el('span', { class: 'orch-quiet', role: 'status' });
    this.bar = el('div', { class: 'orch-filter' }, this.search, this.agent, this.state, this.told);
    this.head = el('div', { class: 'orch-row orch-head-row', role: 'row' });
    this.layer = el('div', { class: 'orch-layer', role: 'rowgroup' });
    this.sheet = el('div', { class: 'orch-sheet' }, this.layer);
    this.grid = el('div', { class: 'orch-grid', role: 'treegrid', tabindex: 0, 'aria-label': 'steps of the run' }, this.head, this.sheet);
    this.node = el('div', { class: 'orch-trace' }, this.bar, this.grid, this.foot);
    this.listen();
  }

  /** Show a trace. Folding, filter and place stay when the same run is shown again. */
  show(trace: Trace, note: string): void {
    this.trace = trace;
    this.after = note;
    this.places = places(trace.spans.map(span => span.cost));
    this.grid.style.setProperty('--o-money', `${this.places + 5}ch`);
    this.foldedNow = trace.folded();
    for (const span of trace.spans) {
      if (this.opened.has(idOf(span))) {
        this.foldedNow.delete(span.index);
      } else if (this.folded.has(idOf(span))) {
        this.foldedNow.add(span.index);
      }
    }
    this.fillChoices(trace);
    this.fillHead(trace);
    this.fillFoot(trace);
    this.refresh();
  }

  /** Whether the filters are shown. */
  full(is: boolean): void {
    this.bar.hidden = !is;
    if (!is && !isEverything(this.filter)) {
      this.clear();
    }
    this.fitHeight();
  }

  /** The selected span; it is scrolled into sight. */
  mark(index: number): void {
    this.selected = index;
    if (index >= 0 && !this.rows.includes(index)) {
      this.uncover(index);
    }
    this.current = index >= 0 ? Math.max(0, this.rows.indexOf(index)) : this.current;
    this.reveal();
    this.draw();
  }

  focus(): void {
    this.grid.focus({ preventScroll: true });
  }

  // ---------------------------------------------------------------- what is in sight
  private refresh(): void {
    const trace = this.trace;
    if (trace === null) {
      return;
    }
    const kept = this.rows[this.current];
    this.rows = trace.rows(this.foldedNow, this.filter);
    const found = kept === undefined ? -1 : this.rows.indexOf(kept);
    this.current = found >= 0 ? found : Math.min(this.current, this.rows.length - 1);
    this.sheet.style.height = `${this.rows.length * ROW}px`;
    this.grid.setAttribute('aria-rowcount', String(this.rows.length + 1));
    this.told.textContent = [isEverything(this.filter) ? counted(trace.spans.length, 'span') : `${counted(this.rows.length, 'row')} of ${counted(trace.spans.length, 'span')}`, this.after].filter(Boolean).join(' · ');
    this.fitHeight();
    this.draw();
  }

  private fitHeight(): void {
    const shown = Math.min(MOST_ROWS_IN_SIGHT, Math.max(3, this.rows.length));
    this.grid.style.height = `${(shown + 1) * ROW + 10}px`;
  }

  private draw(): void {
    const trace = this.trace;
    if (trace === null) {
      return;
    }
    const height = this.grid.clientHeight || (MOST_ROWS_IN_SIGHT + 1) * ROW;
    const first = Math.max(0, Math.floor(this.grid.scrollTop / ROW) - MORE);
    const last = Math.min(this.rows.length, Math.ceil((this.grid.scrollTop + height) / ROW) + MORE);
    const made: HTMLElement[] = [];
    for (let i = first; i < last; i++) {
      const span = trace.spans[this.rows[i] ?? -1];
      if (span !== undefined) {
        made.push(rowView(trace, span, {
          id: `${this.name}-${i}`, position: i, top: i * ROW, fold: this.foldOf(span), current: i === this.current,
          selected: span.index === this.selected, places: this.places
        }));
      }
    }
    only(this.layer, ...(this.rows.length === 0 ? [el('div', { class: 'orch-none' }, 'Nothing matches the filter.')] : made));
    if (this.current >= first && this.current < last) {
      this.grid.setAttribute('aria-activedescendant', `${this.name}-${this.current}`);
    } else {
      this.grid.removeAttribute('aria-activedescendant');
    }
  }

  private foldOf(span: Span): 'open' | 'folded' | 'none' {
    const inner = this.trace?.children[span.index] ?? [];
    return inner.length === 0 ? 'none' : this.foldedNow.has(span.index) ? 'folded' : 'open';
  }

  private reveal(): void {
    const [top, room] = [this.current * ROW, this.grid.clientHeight - ROW - 10];
    if (this.current < 0 || room <= 0) {
      return;
    }
    if (top < this.grid.scrollTop) {
      this.grid.scrollTop = top;
    } else if (top + ROW > this.grid.scrollTop + room) {
      this.grid.scrollTop = top + ROW - room;
    }
  }

  private uncover(index: number): void {
    for (let i = this.trace?.spans[index]?.parent ?? -1; i >= 0; i = this.trace?.spans[i]?.parent ?? -1) {
      this.fold(i, false);
    }
    if (!isEverything(this.filter)) {
      this.clear();
    }
    this.refresh();
  }

  private fold(index: number, is: boolean): void {
    const span = this.trace?.spans[index];
    if (span === undefined) {
      return;
    }
    const [to, from] = is ? [this.folded, this.opened] : [this.opened, this.folded];
    to.add(idOf(span));
    from.delete(idOf(span));
    if (is) {
      this.foldedNow.add(index);
    } else {
      this.foldedNow.delete(index);
    }
  }

  // ---------------------------------------------------------------- head and filters
  private fillHead(trace: Trace): void {
    const head = (said: string, className = ''): HTMLElement => el('div', { class: `orch-cell ${className}`, role: 'columnheader' }, said);
    const axis = el('div', { class: 'orch-cell orch-axis', role: 'columnheader', 'aria-label': `time, 0 to ${seconds(trace.end)}` },
      el('span', {}, '0 s'), el('span', {}, seconds(trace.end / 2)), el('span', {}, seconds(trace.end)));
    only(this.head, head('step', 'orch-step'), axis, head('s', 'orch-figure'), head('tokens', 'orch-figure'), head('$', 'orch-figure orch-money'));
  }

  private fillFoot(trace: Trace): void {
    const names = trace.unreached();
    const said = names.length > 12 ? `${names.slice(0, 12).join(', ')} and ${integer(names.length - 12)} more` : names.join(', ');
    this.foot.hidden = names.length === 0;
    only(this.foot, stateGlyph('skipped'), `skipped: ${said}`);
  }

  private fillChoices(trace: Trace): void {
    const { agents, states } = trace.facets();
    fillChoice(this.agent, 'every agent', agents, this.filter.agent, name => name);
    fillChoice(this.state, 'every status', states, this.filter.state, word);
  }

  private clear(): void {
    this.search.value = this.agent.value = this.state.value = '';
    this.filter = EVERYTHING;
    this.refresh();
  }

  private refilter(): void {
    this.filter = { text: this.search.value.slice(0, 200), agent: this.agent.value, state: this.state.value };
    this.grid.scrollTop = 0;
    this.refresh();
  }

  // ---------------------------------------------------------------- pointer and keys
  private listen(): void {
    this.search.addEventListener('input', () => this.refilter());
    this.agent.addEventListener('change', () => this.refilter());
    this.state.addEventListener('change', () => this.refilter());
    this.grid.addEventListener('scroll', () => {
      cancelAnimationFrame(this.frame);
      this.frame = requestAnimationFrame(() => this.draw());
    });
    this.layer.addEventListener('click', event => this.click(event));
    ownKeys(this.node, event => this.key(event));
  }

  private click(event: MouseEvent): void {
    const target = event.target instanceof Element ? event.target : null;
    const index = Number(target?.closest('[data-span]')?.getAttribute('data-span') ?? -1);
    const span = this.trace?.spans[index];
    if (span === undefined) {
      return;
    }
    this.current = this.rows.indexOf(index);
    if (target?.closest('.orch-twist') && this.foldOf(span) !== 'none') {
      this.toggle(index);
    } else {
      this.select(span, false);
    }
    this.focus();
  }

  private toggle(index: number): void {
    this.fold(index, !this.foldedNow.has(index));
    this.refresh();
  }

  private key(event: KeyboardEvent): boolean {
    if (!isPlain(event) || event.key === 'Tab') {
      return false;
    }
    if (isTyping(event)) {
      return this.keyInFilter(event);
    }
    const page = Math.max(1, Math.floor(this.grid.clientHeight / ROW) - 2);
    switch (event.key) {
      case 'ArrowDown': return this.move(1);
      case 'ArrowUp': return this.move(-1);
      case 'PageDown': return this.move(page);
      case 'PageUp': return this.move(-page);
      case 'Home': return this.move(-this.rows.length);
      case 'End': return this.move(this.rows.length);
      case 'ArrowRight': return this.unfoldOrEnter();
      case 'ArrowLeft': return this.foldOrLeave();
      case 'Enter': case ' ': return this.open();
      case '/':
        this.search.focus();
        return !this.bar.hidden;
      case 'Escape':
        this.select(null, false);
        return true;
      default: return false;
    }
  }

  /** A field keeps its own keys; Escape empties it, Enter and ArrowDown lead to the rows. */
  private keyInFilter(event: KeyboardEvent): boolean {
    if (event.key === 'Escape') {
      this.clear();
      this.focus();
      return true;
    }
    if (event.target === this.search && (event.key === 'Enter' || event.key === 'ArrowDown')) {
      this.focus();
      return this.move(this.current < 0 ? 1 : 0);
    }
    event.stopPropagation();
    return false;
  }

  private move(by: number): boolean {
    this.current = Math.min(this.rows.length - 1, Math.max(0, this.current + by));
    const span = this.trace?.spans[this.rows[this.current] ?? -1];
    this.reveal();
    if (span !== undefined) {
      this.select(span, false);
    }
    return true;
  }

  private open(): boolean {
    const span = this.trace?.spans[this.rows[this.current] ?? -1];
    if (span !== undefined) {
      this.select(span, true);
    }
    return true;
  }

  private unfoldOrEnter(): boolean {
    const span = this.trace?.spans[this.rows[this.current] ?? -1];
    if (span !== undefined && this.foldOf(span) === 'folded') {
      this.toggle(span.index);
    } else if (span !== undefined && this.foldOf(span) === 'open') {
      this.move(1);
    }
    return true;
  }

  private foldOrLeave(): boolean {
    const span = this.trace?.spans[this.rows[this.current] ?? -1];
    if (span !== undefined && this.foldOf(span) === 'open') {
      this.toggle(span.index);
    } else if (span !== undefined && span.parent >= 0) {
      this.move(this.rows.indexOf(span.parent) - this.current);
    }
    return true;
  }
}

/** What a span is known by when its run is shown again. */
export function idOf(span: Span): string {
  return `${span.key} ${span.kind} ${span.call} ${span.attempt}`;
}

function fillChoice(choice: HTMLSelectElement, every: string, values: readonly string[], chosen: string, shown: (value: string) => string): void {
  only(choice, el('option', { value: '' }, every), ...values.slice(0, 200).map(value => el('option', { value, selected: value === chosen }, shown(value))));
  choice.hidden = values.length < 2;
}
