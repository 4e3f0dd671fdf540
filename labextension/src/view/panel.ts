/** One output: a run or a graph, with its tabs, its selection and its parts. It is shown again and again while a run is under way. */

import { committed } from '../model/bill.js';
import { defaultHeat, isNode, type GraphNode, type Heat, type Picture } from '../model/picture.js';
import type { Comparison } from '../model/compare.js';
import type { RunRow } from '../model/client.js';
import type { Graph, Refusal, Run } from '../model/run.js';
import type { Span } from '../model/span.js';
import { stepOf } from '../model/trace.js';
import { counted, seconds, usd } from '../model/words.js';
import { billView } from './bill.js';
import { compareView } from './compare.js';
import { Canvas } from './canvas.js';
import { nodeDetail, spanDetail, type Asks } from './detail.js';
import { button, el, only, quiet, type Child } from './dom.js';
import { isPlain, ownKeys } from './keys.js';
import { messagesView } from './messages.js';
import { decisionList, runDetail, stateView } from './lists.js';
import { stateMark } from './state.js';
import { code, shareBar } from './table.js';
import { TraceList, idOf } from './trace.js';

type Tab = 'Graph' | 'Trace' | 'Bill' | 'Messages' | 'State' | 'Decisions';

/** What is looked at: a span by its identity, or a node by the picture's path and its name; both "" for the whole. */
interface Looked {
  readonly span: string;
  readonly node: string;
}

const NOTHING: Looked = { span: '', node: '' };
const HEATS: readonly (readonly [Heat, string])[] = [['cost', '$'], ['tokens', 'tokens'], ['seconds', 'seconds']];

let made = 0;

export class Panel {
  readonly node = el('div', { class: 'orch-panel' });
  private readonly name = `orch-panel-${++made}`;
  private readonly head = el('div', { class: 'orch-top' });
  private readonly notices = el('div', { class: 'orch-notices' });
  private readonly said = el('div', { class: 'orch-live', role: 'log', 'aria-label': 'what is being said', 'aria-live': 'off' });
  private readonly tabs = el('div', { class: 'orch-tabs', role: 'tablist', 'aria-label': 'views of the run' });
  private readonly tools = el('div', { class: 'orch-tools' });
  private readonly canvas: Canvas;
  private readonly trace: TraceList;
  private readonly detail = el('aside', { class: 'orch-detail', 'aria-label': 'detail', 'aria-live': 'polite', tabindex: 0 });
  private readonly split: HTMLElement;
  private readonly sheet = el('div', { class: 'orch-page' });
  private readonly body: HTMLElement;
  private shown: Run | Graph | null = null;
  private tab: Tab = 'Graph';
  private heat: Heat | null = null;
  private path = '';
  private looked: Looked = NOTHING;
  private tallest = 0;

  constructor() {
    this.canvas = new Canvas(node => this.lookAtNode(node));
    this.trace = new TraceList((span, open) => this.lookAtSpan(span, open));
    this.split = el('div', { class: 'orch-split' }, this.trace.node, this.detail);
    this.body = el('div', { class: 'orch-body', role: 'tabpanel', id: `${this.name}-body` }, this.tools, this.canvas.node, this.split, this.sheet);
    ownKeys(this.node, event => (event.key === 'Enter' || event.key === ' ') && isPlain(event) && press(event));
    ownKeys(this.detail, event => this.keyInDetail(event));
    ownKeys(this.tabs, event => this.keyInTabs(event));
  }

  /** Show what a bundle says; the reader's tab, selection and place stay. */
  show(data: Run | Graph | Comparison | Refusal): void {
    if (data.kind === 'refused') {
      this.shown = null;
      only(this.node, el('div', { class: 'orch-refused', role: 'note' }, data.reason));
      return;
    }
    if (data.kind === 'compare') {
      this.shown = null;
      only(this.node, ...compareView(data));
      return;
    }
    if (this.shown === null) {
      only(this.node, this.head, this.notices, this.said, this.tabs, this.body);
    }
    this.shown = data;
    if (data.kind === 'run') {
      this.trace.show(data.trace, data.spansLeftOut > 0 ? `${counted(data.spansLeftOut, 'more span')} in the full record: ${data.full}` : '');
    }
    this.draw();
  }

  /** What the run says between two drawings: cost, state, and the end of each stream. */
  live(row: RunRow): void {
    const shown = this.shown;
    if (shown?.kind !== 'run' || shown.run !== row.run || isOver(shown.status)) {
      return;
    }
    const cost = this.head.querySelector('.orch-money-head b');
    if (cost !== null && row.spent !== null) {
      cost.textContent = usd(Math.max(row.spent, shown.bill.total.spent));
    }
    only(this.said, ...row.said.map(([who, tail]) => el('div', { class: 'orch-said-line' }, who === '' ? null : el('b', {}, who), ' ', who === '' ? quiet(tail) : tail)));
  }

  /** Turn to the trace, ready for the keyboard. */
  openTrace(): void {
    if (this.shown?.kind === 'run') {
      this.turn('Trace');
      this.trace.focus();
    }
  }

  // ---------------------------------------------------------------- drawing
  private draw(): void {
    const shown = this.shown;
    if (shown === null) {
      return;
    }
    this.tabs.hidden = shown.kind === 'graph';
    if (shown.kind === 'graph' || isOver(shown.status)) {
      only(this.said);
    }
    only(this.head, ...(shown.kind === 'run' ? runHead(shown) : graphHead(shown)));
    only(this.notices, ...(shown.kind === 'run' ? runNotices(shown) : (shown.pictures[0]?.problems ?? []).map(problem => el('div', { class: 'orch-problem' }, problem))));
    this.drawTabs(shown);
    this.drawBody(shown);
  }

  private drawTabs(shown: Run | Graph): void {
    const names = tabsOf(shown);
    if (!names.includes(this.tab)) {
      this.tab = 'Graph';
    }
    const hadFocus = this.tabs.contains(document.activeElement);
    only(this.tabs, ...names.map(name => button(
      { class: 'orch-tab', role: 'tab', 'aria-selected': name === this.tab ? 'true' : 'false', 'aria-controls': `${this.name}-body`, tabindex: name === this.tab ? 0 : -1 },
      () => this.turn(name), name)));
    if (hadFocus) {
      this.tabs.querySelector<HTMLElement>('[aria-selected="true"]')?.focus();
    }
  }

  private drawBody(shown: Run | Graph): void {
    const isGraph = this.tab === 'Graph';
    this.canvas.node.hidden = !isGraph;
    this.split.hidden = !isGraph && this.tab !== 'Trace';
    this.trace.node.hidden = shown.kind === 'graph';
    this.sheet.hidden = shown.kind === 'graph' ? shown.cell === '' : !this.split.hidden;
    this.split.classList.toggle('orch-alone', shown.kind === 'graph');
    this.drawTools(shown);
    if (isGraph) {
      this.drawPicture(shown);
    }
    this.trace.full(this.tab === 'Trace');
    only(this.sheet, ...(shown.kind === 'graph' ? graphSheet(shown) : [runSheet(shown, this.tab)]));
    this.drawDetail(shown);
  }

  private drawTools(shown: Run | Graph): void {
    const many = shown.pictures.length > 1 && this.tab === 'Graph';
    const heats = this.tab === 'Graph' && shown.kind === 'run';
    this.tools.hidden = !many && !heats;
    const paths = el('select', { class: 'orch-choose', 'aria-label': 'graph' }, ...shown.pictures.map(picture =>
      el('option', { value: picture.path, selected: picture.path === this.path }, picture.path === '' ? picture.name : `inside ${picture.path}`)));
    paths.addEventListener('change', () => this.goInside(paths.value));
    const chosen = this.heatOf(shown);
    const buttons = HEATS.map(([heat, said]) => button(
      { class: `orch-chip${heat === chosen ? ' orch-chip-on' : ''}`, 'aria-pressed': heat === chosen ? 'true' : 'false' },
      () => this.warm(heat), said));
    only(this.tools, many ? paths : null, heats ? el('div', { class: 'orch-heat', role: 'group', 'aria-label': 'bars show' }, quiet('bars: share of'), ...buttons) : null);
  }

  private drawPicture(shown: Run | Graph): void {
    const picture = this.pictureOf(shown);
    if (picture === undefined || picture.nodes.length === 0) {
      this.canvas.node.hidden = true;
      return;
    }
    this.canvas.show(picture, this.heatOf(shown), this.nodeLookedAt(shown));
  }

  private drawDetail(shown: Run | Graph): void {
    const scrolled = this.detail.scrollTop;
    const before = this.detail.getAttribute('data-of') ?? '';
    const of = `${this.looked.span}|${this.looked.node}`;
    only(this.detail, this.detailOf(shown));
    this.detail.setAttribute('data-of', of);
    this.detail.hidden = shown.kind === 'graph' && this.looked.node === '';
    this.detail.scrollTop = before === of ? scrolled : 0;
    // It grows to what it has shown and stays so: what lies below does not jump with every step looked at.
    this.tallest = Math.max(this.tallest, this.looked === NOTHING ? 0 : this.detail.offsetHeight);
    this.detail.style.minHeight = this.tallest > 0 ? `${this.tallest}px` : '';
  }

  private detailOf(shown: Run | Graph): HTMLElement {
    const asks: Asks = { span: span => this.lookAtSpan(span, false), inside: path => this.goInside(path), close: () => this.lookAtSpan(null, false) };
    if (shown.kind === 'run') {
      const span = this.spanLookedAt(shown);
      if (span !== null) {
        return spanDetail(shown, span, asks);
      }
    }
    const picture = this.pictureOf(shown);
    const node = picture?.nodes.find(one => isNode(one) && placeOf(picture, one) === this.looked.node);
    if (picture !== undefined && node !== undefined) {
      const inside = placeOf(picture, node);
      return nodeDetail(picture, node, shown.pictures.some(one => one.path === inside) ? inside : '', asks);
    }
    return shown.kind === 'run' ? runDetail(shown) : el('div', {});
  }

  // ---------------------------------------------------------------- what is looked at
  private pictureOf(shown: Run | Graph): Picture | undefined {
    return shown.pictures.find(picture => picture.path === this.path) ?? shown.pictures[0];
  }

  private heatOf(shown: Run | Graph): Heat {
    const picture = shown.pictures[0];
    return this.heat ?? (picture === undefined ? 'cost' : defaultHeat(picture));
  }

  private spanLookedAt(run: Run): Span | null {
    return this.looked.span === '' ? null : (run.spans.find(span => idOf(span) === this.looked.span) ?? null);
  }

  private nodeLookedAt(shown: Run | Graph): string {
    const path = this.pictureOf(shown)?.path ?? '';
    const place = this.looked.node;
    return path === '' ? (place.split('/', 1)[0] ?? '') : place.startsWith(`${path}/`) ? (place.slice(path.length + 1).split('/', 1)[0] ?? '') : '';
  }

  private lookAtSpan(span: Span | null, open: boolean): void {
    const shown = this.shown;
    this.looked = span === null || shown?.kind !== 'run' ? NOTHING : { span: idOf(span), node: stepOf(shown.trace.stepAround(span)) };
    this.lookedElsewhere(span?.index ?? -1);
    if (open) {
      this.detail.focus();
    }
  }

  private lookAtNode(node: GraphNode): void {
    const shown = this.shown;
    const picture = shown === null ? undefined : this.pictureOf(shown);
    if (shown === null || picture === undefined) {
      return;
    }
    const place = placeOf(picture, node);
    const span = shown.kind === 'run' ? shown.trace.latest(place) : null;
    this.looked = { span: span === null ? '' : idOf(span), node: place };
    this.lookedElsewhere(span?.index ?? -1);
  }

  private lookedElsewhere(index: number): void {
    const shown = this.shown;
    if (shown === null) {
      return;
    }
    this.trace.mark(index);
    if (this.tab === 'Graph') {
      this.drawPicture(shown);
    }
    this.drawDetail(shown);
  }

  private goInside(path: string): void {
    this.path = path;
    this.draw();
  }

  private warm(heat: Heat): void {
    this.heat = heat;
    this.draw();
    this.tools.querySelector<HTMLElement>('[aria-pressed="true"]')?.focus();
  }

  private turn(tab: Tab): void {
    this.tab = tab;
    this.draw();
    this.trace.mark(this.shown?.kind === 'run' ? (this.spanLookedAt(this.shown)?.index ?? -1) : -1);
  }

  private keyInTabs(event: KeyboardEvent): boolean {
    const by = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    if (by === 0 || !isPlain(event) || this.shown === null) {
      return false;
    }
    const names = tabsOf(this.shown);
    this.turn(names[(names.indexOf(this.tab) + by + names.length) % names.length] ?? 'Graph');
    this.tabs.querySelector<HTMLElement>('[aria-selected="true"]')?.focus();
    return true;
  }

  private keyInDetail(event: KeyboardEvent): boolean {
    if (event.key === 'Escape') {
      this.trace.focus();
      return true;
    }
    return false;
  }
}

/** A button, or what unfolds, hears Enter and Space, not the notebook around it. */
function press(event: KeyboardEvent): boolean {
  const target = event.target;
  if (target instanceof HTMLElement && /^(BUTTON|SUMMARY)$/.test(target.tagName)) {
    target.click();
    return true;
  }
  return false;
}

function isOver(status: string): boolean {
  return status !== 'running' && status !== 'waiting';
}

function placeOf(picture: Picture, node: GraphNode): string {
  return picture.path === '' ? node.name : `${picture.path}/${node.name}`;
}

function tabsOf(shown: Run | Graph): Tab[] {
  if (shown.kind === 'graph') {
    return ['Graph'];
  }
  return ['Graph', 'Trace', 'Bill', ...(shown.messages.length > 0 ? ['Messages' as const] : []), ...(shown.state.length + shown.changes.length > 0 ? ['State' as const] : []), ...(shown.decisions.length > 0 ? ['Decisions' as const] : [])];
}

// ------------------------------------------------------------------ parts
function runHead(run: Run): Child[] {
  const { bill } = run;
  const tokens = bill.total.inputTokens + bill.total.outputTokens;
  const asides = [
    seconds(run.wall), counted(tokens, 'token'), run.resumed > 0 ? `resumed ${run.resumed === 1 ? 'once' : `${run.resumed} times`}` : '',
    bill.total.inDoubt > 0 ? `in doubt ≤ ${usd(bill.total.inDoubt)}` : '', bill.total.overrun > 0 ? `overrun ${usd(bill.total.overrun)}` : '',
    bill.total.unpriced > 0 ? `${counted(bill.total.unpriced, 'call')} of unknown price` : '', run.asOf
  ];
  return [
    el('span', { class: 'orch-title' }, run.graph), quiet(`run ${run.run}`), stateMark(run.status, 'orch-status'),
    ...asides.filter(Boolean).map(quiet), el('span', { class: 'orch-money-head' }, ...moneyHead(run))
  ];
}

function moneyHead(run: Run): Child[] {
  const { bill } = run;
  const limit = bill.limit;
  return [
    el('b', {}, usd(bill.total.spent)),
    limit === null ? null : shareBar(limit > 0 ? committed(bill) / limit : 1, 'share of the budget'),
    limit === null ? null : quiet(`of ${usd(limit)}`), bill.total.held > 0 ? quiet(`held ${usd(bill.total.held)}`) : null,
    bill.total.reused > 0 ? el('span', { class: 'orch-saved' }, `saved ${usd(bill.total.saved)} · ${bill.total.reused} reused`) : null
  ];
}

function graphHead(graph: Graph): Child[] {
  const picture = graph.pictures[0];
  const nodes = picture?.nodes.filter(isNode) ?? [];
  return [
    el('span', { class: 'orch-title' }, picture?.name ?? 'graph'), quiet(counted(nodes.length, 'node')),
    picture !== undefined && picture.inputs.length > 0 ? quiet(`takes ${picture.inputs.join(', ')}`) : null,
    picture !== undefined && picture.out.length > 0 ? quiet(`gives ${picture.out.join(', ')}`) : null
  ];
}

function runNotices(run: Run): Child[] {
  const failed = run.error !== null && run.status !== 'done';
  return [
    failed ? el('div', { class: 'orch-problem' }, el('b', {}, run.error?.node ?? ''), `: ${run.error?.type ?? ''}: ${run.error?.message ?? ''}`) : null,
    ...run.waiting.map(one => el('div', { class: 'orch-asks' }, el('b', {}, one.key), ` asks: ${one.question}`)),
    run.pictures[0]?.tooLarge ? el('div', { class: 'orch-problem' }, 'The graph has too many nodes to be drawn; the trace has every step.') : null
  ];
}

function graphSheet(graph: Graph): Child[] {
  return graph.cell === '' ? [] : [el('details', { class: 'orch-cell-text' }, el('summary', {}, 'cell'), code(graph.cell))];
}

function runSheet(run: Run, tab: Tab): HTMLElement | null {
  switch (tab) {
    case 'Bill':
      return billView(run);
    case 'Messages':
      return messagesView(run.messages);
    case 'State':
      return stateView(run);
    case 'Decisions':
      return decisionList(run.decisions);
    default:
      return null;
  }
}
