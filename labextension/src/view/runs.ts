/** The runs of a notebook, as a list that is drawn again and again: what is typed and where the focus is stay. */

import type { Asked, Budget, Client, RunRow } from '../model/client.js';
import { counted, seconds, usd } from '../model/words.js';
import { button, el, only, quiet, type Child } from './dom.js';
import { stateMark } from './state.js';
import { code, shareBar } from './table.js';

/** What the reader wants done. */
export interface Wishes {
  trace(row: RunRow): void;
  stop(row: RunRow): void;
  resume(row: RunRow): void;
  /** Whether the answer was taken. */
  answer(row: RunRow, asked: Asked, action: string, value: string): Promise<boolean>;
}

const LABELS: Readonly<Record<string, string>> = { approve: 'Approve', reject: 'Reject', done: 'It happened', again: 'Do it again' };

export class RunList {
  readonly node: HTMLElement;
  private readonly head = el('div', { class: 'orch-runs-head' });
  private readonly told = el('div', { class: 'orch-runs-said', role: 'status' });
  private readonly list = el('div', { class: 'orch-runs-list', role: 'list', 'aria-label': 'runs of this notebook, newest first' });
  private shown = new Map<string, { node: HTMLElement; drawn: string }>();
  private of: Client | null = null;

  constructor(private readonly wishes: Wishes) {
    this.node = el('div', { class: 'orch-panel orch-runs' }, this.head, this.told, this.list);
  }

  /** Show a notebook's runs; null where no notebook is in front. */
  show(client: Client | null): void {
    if (client !== this.of) {
      this.shown.clear();
      this.of = client;
    }
    const rows = client?.runs ?? [];
    only(this.head, ...(client?.budget ? budgetView(client.budget) : [quiet('Runs')]));
    const said = client === null ? 'No notebook is open.' : advice(client);
    if (this.told.textContent !== said) {
      this.told.textContent = said;
    }
    this.told.hidden = said === '';
    const next = new Map(rows.map(row => [row.run, this.row(row)]));
    this.shown = next;
    this.place([...next.values()].map(one => one.node));
  }

  private row(row: RunRow): { node: HTMLElement; drawn: string } {
    const drawn = JSON.stringify([row.status, row.graph, row.what, row.asked, row.here]);
    const before = this.shown.get(row.run);
    if (before?.drawn === drawn) {
      only(before.node.querySelector('.orch-run-facts') as Element, ...facts(row));
      only(before.node.querySelector('.orch-run-said') as Element, ...said(row));
      return before;
    }
    const node = runView(row, this.wishes);
    const focused = document.activeElement?.getAttribute('data-act');
    if (focused && before?.node.contains(document.activeElement)) {
      queueMicrotask(() => node.querySelector<HTMLElement>(`[data-act="${focused}"]`)?.focus());
    }
    return { node, drawn };
  }

  /** Elements that stay are not moved: what is moved loses its focus. */
  private place(nodes: readonly HTMLElement[]): void {
    const children = [...this.list.children];
    if (children.length !== nodes.length || nodes.some((node, i) => node !== children[i])) {
      const kept = new Set<Element>(nodes);
      children.filter(one => !kept.has(one)).forEach(one => one.remove());
      nodes.forEach((node, i) => this.list.children[i] !== node && this.list.insertBefore(node, this.list.children[i] ?? null));
    }
  }
}

function advice(client: Client): string {
  if (!client.connected) {
    return 'Nobody is listening: run %load_ext orch_nb in this notebook.';
  }
  if (client.trouble !== '') {
    return client.trouble;
  }
  const waiting = client.runs.filter(row => row.asked.length > 0).length;
  return waiting > 0 ? `${counted(waiting, 'run')} ${waiting === 1 ? 'waits' : 'wait'} for a person` : client.runs.length === 0 ? 'No run yet: %orch run GRAPH starts one.' : '';
}

function budgetView(budget: Budget): Child[] {
  const { limit, spent, held } = budget;
  return [
    el('span', { class: 'orch-title' }, budget.notebook || 'this notebook'),
    el('span', { class: 'orch-money-head' }, el('b', {}, usd(spent)), limit === null ? null : shareBar(limit > 0 ? (spent + held) / limit : 1, 'share of the budget'),
      quiet(limit === null ? 'no budget set' : `of ${usd(limit, 2)}`), held > 0 ? quiet(`held ${usd(held)}`) : null)
  ];
}

function facts(row: RunRow): Child[] {
  const asides = [row.seconds === null ? '' : seconds(row.seconds), row.startedAt === null || row.here ? '' : clock(row.startedAt), row.batch ? 'batch' : ''];
  return [stateMark(row.status), ...asides.filter(Boolean).map(quiet)];
}

function said(row: RunRow): Child[] {
  return row.said.map(([who, tail]) => el('div', { class: 'orch-said-line' }, who === '' ? null : el('b', {}, who), who === '' ? quiet(tail) : ` ${tail.slice(-90)}`));
}

/** One run: what it is, its status, what it asks, what can be done. */
export function runView(row: RunRow, wishes: Wishes): HTMLElement {
  const act = (name: string, label: string, press: () => void, strong = false): HTMLElement =>
    button({ class: `orch-act${strong ? ' orch-act-strong' : ''}`, 'data-act': name, 'aria-label': `${label}: run ${row.run}` }, press, label);
  const unfinished = !row.here && row.status !== 'done' && row.status !== 'running';
  return el('div', { class: 'orch-run', role: 'listitem', 'data-run': row.run },
    el('div', { class: 'orch-run-top' }, el('span', { class: 'orch-title' }, row.graph), quiet(`run ${row.run}`), el('span', { class: 'orch-figure orch-run-cost' }, usd(row.spent))),
    el('div', { class: 'orch-run-facts' }, ...facts(row)),
    row.what === '' ? null : el('div', { class: 'orch-run-what' }, row.what),
    el('div', { class: 'orch-run-said' }, ...said(row)),
    ...(row.here ? row.asked.map(asked => askedView(row, asked, wishes)) : []),
    el('div', { class: 'orch-acts' },
      act('trace', 'Trace', () => wishes.trace(row)),
      row.here ? act('stop', 'Stop', () => wishes.stop(row)) : null,
      unfinished ? act('resume', 'Resume', () => wishes.resume(row)) : null));
}

function askedView(row: RunRow, asked: Asked, wishes: Wishes): HTMLElement {
  const acts = el('div', { class: 'orch-acts' });
  let given = false;
  const enable = (is: boolean): void => acts.querySelectorAll('button').forEach(one => one.toggleAttribute('disabled', !is));
  // One answer for what is shown: the buttons are dead from the click on, and live again where it was not taken.
  const give = async (action: string, value = ''): Promise<void> => {
    if (given) {
      return;
    }
    given = true;
    enable(false);
    given = await wishes.answer(row, asked, action, value);
    enable(!given);
  };
  const buttons = asked.options.filter(one => Object.hasOwn(LABELS, one)).map((one, i) =>
    button({ class: `orch-act${i === 0 ? ' orch-act-strong' : ''}`, 'data-act': `${one} ${asked.key}`, 'aria-label': `${LABELS[one]}: ${asked.key} of run ${row.run}` }, () => void give(one), LABELS[one]));
  acts.append(...buttons, ...(asked.options.includes('answer') ? wordsView(asked, give) : []));
  return el('div', { class: 'orch-asked' }, el('div', {}, el('b', {}, asked.key), ` ${asked.question}`),
    asked.shown === '' ? null : code(asked.shown), acts);
}

function wordsView(asked: Asked, give: (action: string, value: string) => Promise<void>): HTMLElement[] {
  const field = el('input', { class: 'orch-search', 'aria-label': `answer of ${asked.key}`, placeholder: 'answer', 'data-act': `words ${asked.key}`, autocomplete: 'off' });
  return [field, button({ class: 'orch-act', 'data-act': `send ${asked.key}` }, () => void give('answer', field.value), 'Send')];
}

function clock(at: number): string {
  return new Date(at * 1000).toLocaleString(undefined, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });
}
