/** The bill: what each step, agent and model cost, and how it added up against the budget. */

import { committed, cumulative, type Bill, type BillLine } from '../model/bill.js';
import type { Run } from '../model/run.js';
import { counted, integer, percent, places, seconds, usd } from '../model/words.js';
import { el, svg } from './dom.js';
import { section, shareBar, table, type Row } from './table.js';

/** The whole bill of a run. */
export function billView(run: Run): HTMLElement {
  const { bill } = run;
  if (bill.total.calls === 0 && bill.total.reused === 0) {
    return el('div', { class: 'orch-none' }, 'No model was called: $0.');
  }
  const digits = places([...bill.steps, ...bill.models].map(line => line.spent));
  return el('div', { class: 'orch-bill' },
    el('div', { class: 'orch-bill-head' }, summary(bill), spendChart(run)),
    ...(['steps', 'agents', 'models'] as const).filter(by => by !== 'agents' || !isSame(bill.steps, bill.agents)).map(by => section(`by ${by.slice(0, -1)}`, lines(bill, bill[by], by.slice(0, -1), digits))));
}

/** Where every step has an agent of its own, the second table would say what the first one says. */
function isSame(steps: readonly BillLine[], agents: readonly BillLine[]): boolean {
  return steps.length === agents.length && steps.every((step, i) => step.name === agents[i]?.name && step.spent === agents[i]?.spent);
}

function summary(bill: Bill): HTMLElement {
  const { total } = bill;
  const rows: [string, string, string][] = [
    ['spent', usd(total.spent), `${counted(total.calls, 'call')}, ${integer(total.inputTokens)} tokens in, ${integer(total.outputTokens)} out`],
    ['held', total.held > 0 ? usd(total.held) : '', 'for calls under way'],
    ['in doubt', total.inDoubt > 0 ? `≤ ${usd(total.inDoubt)}` : '', 'calls without an answer when the process ended'],
    ['overrun', total.overrun > 0 ? usd(total.overrun) : '', 'billed above what was reserved'],
    ['saved by reuse', total.reused > 0 ? usd(total.saved) : '', counted(total.reused, 'result')],
    ['cached', total.cachedTokens > 0 ? percent(total.cachedTokens / Math.max(1, total.inputTokens)) : '', 'of the input tokens came from the provider’s cache'],
    ['retries', total.retries > 0 ? integer(total.retries) : '', 'calls that were made again'],
    ['unknown price', total.unpriced > 0 ? counted(total.unpriced, 'call') : '', 'not in the sum'],
    ['budget', bill.limit === null ? '' : usd(bill.limit), bill.limit === null ? '' : `${usd(bill.limit - committed(bill))} left`]
  ];
  return el('table', { class: 'orch-summary' }, el('tbody', {}, ...rows.filter(row => row[1] !== '').map(([name, value, said]) =>
    el('tr', {}, el('th', { scope: 'row' }, name), el('td', { class: 'orch-figure' }, value), el('td', { class: 'orch-quiet' }, said)))));
}

function lines(bill: Bill, rows: readonly BillLine[], by: string, digits: number): HTMLElement {
  const total = bill.total.spent;
  const all = [...rows].sort((a, b) => b.spent - a.spent);
  const row = (line: BillLine): Row => [
    line.name, integer(line.calls), integer(line.inputTokens), integer(line.outputTokens), line.saved > 0 ? usd(line.saved, digits).slice(1) : '',
    line.unpriced > 0 && line.spent === 0 ? '?' : usd(line.spent, digits).slice(1), total > 0 ? percent(line.spent / total) : '',
    total > 0 ? shareBar(line.spent / total, `${percent(line.spent / total)} of the dollars`) : ''
  ];
  const foot: Row = ['total', integer(bill.total.calls), integer(bill.total.inputTokens), integer(bill.total.outputTokens),
    bill.total.saved > 0 ? usd(bill.total.saved, digits).slice(1) : '', usd(total, digits).slice(1), '', ''];
  const columns = [{ head: by }, { head: 'calls', figure: true }, { head: 'tokens in', figure: true }, { head: 'out', figure: true },
    { head: 'saved $', figure: true }, { head: '$', figure: true }, { head: '', figure: true }, { head: '' }];
  const kept = columns.map((_, i) => i !== 4 || bill.total.saved > 0);
  const pick = <T>(cells: readonly T[]): T[] => cells.filter((_, i) => kept[i]);
  return table(pick(columns), all.map(line => pick(row(line))), { foot: pick(foot), label: `bill by ${by}` });
}

const WIDE = 300;
const HIGH = 84;

/** Dollars over time as a stair, with the budget as a line where it is near enough to be seen. */
function spendChart(run: Run): SVGSVGElement | null {
  const points = cumulative(run.spans);
  const spent = points[points.length - 1]?.[1] ?? 0;
  if (points.length < 2 || spent <= 0) {
    return null;
  }
  const limit = run.bill.limit;
  const top = limit !== null && limit < 6 * spent ? Math.max(limit, spent) : spent;
  const x = (at: number): string => (44 + ((WIDE - 54) * at) / (run.trace.end || 1)).toFixed(1);
  const y = (usd_: number): string => (HIGH - 16 - ((HIGH - 28) * usd_) / top).toFixed(1);
  let stair = `M${x(0)} ${y(0)}`;
  for (const [at, sum] of points) {
    stair += `H${x(at)}V${y(sum)}`;
  }
  stair += `H${x(run.trace.end)}`;
  const said = `Dollars over time: ${usd(spent)} after ${seconds(run.trace.end)}${limit === null ? '' : `, budget ${usd(limit)}`}`;
  return svg('svg', { class: 'orch-chart', width: WIDE, height: HIGH, viewBox: `0 0 ${WIDE} ${HIGH}`, role: 'img', 'aria-label': said },
    svg('path', { class: 'orch-chart-axis', d: `M${x(0)} ${y(0)}H${x(run.trace.end)}` }),
    limit !== null && top >= limit ? svg('path', { class: 'orch-chart-limit', d: `M${x(0)} ${y(limit)}H${x(run.trace.end)}` }) : null,
    limit !== null && top >= limit ? svg('text', { x: x(run.trace.end), y: Number(y(limit)) - 3, 'font-size': 10, 'text-anchor': 'end' }, `budget ${usd(limit)}`) : null,
    svg('path', { class: 'orch-chart-fill', d: `${stair}V${y(0)}Z` }), svg('path', { class: 'orch-chart-line', d: stair }),
    svg('text', { x: 40, y: Number(y(spent)) + 3.5, 'font-size': 10, 'text-anchor': 'end' }, usd(spent)),
    svg('text', { x: x(0), y: HIGH - 4, 'font-size': 10 }, '0'),
    svg('text', { x: x(run.trace.end), y: HIGH - 4, 'font-size': 10, 'text-anchor': 'end' }, seconds(run.trace.end)));
}
