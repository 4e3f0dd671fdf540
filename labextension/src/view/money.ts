/** Money in the status bar: one line, a button that opens the list of runs. */

import type { Budget, RunRow } from '../model/client.js';
import { glyph, usd } from '../model/words.js';
import { button, el } from './dom.js';

export function moneyView(budget: Budget, runs: readonly RunRow[], open: () => void): HTMLElement {
  const money = budget.limit === null ? usd(budget.spent) : `${usd(budget.spent)} of ${usd(budget.limit, 2)}`;
  const here = runs.filter(row => row.here);
  const waiting = here.filter(row => row.asked.length > 0).length;
  const running = here.length - waiting;
  const more = [running > 0 ? `${glyph('running')} ${running} running` : '', waiting > 0 ? `${glyph('waiting')} ${waiting} waiting` : ''].filter(Boolean);
  const share = budget.limit === null ? 0 : (budget.spent + budget.held) / (budget.limit || 1);
  return button({ class: 'orch-status-item', title: 'orch_nb: spent and budget of this notebook; opens its runs', 'aria-label': `spent ${[money, ...more].join(', ')}; show the runs` }, open,
    el('span', { class: share >= 0.9 ? 'orch-near' : null }, money), ...more.map(said => el('span', {}, said)));
}
