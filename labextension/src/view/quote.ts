/** A quote beside its line. */

import type { Quote } from '../model/client.js';
import { usd } from '../model/words.js';
import { el } from './dom.js';

/** Dollars with as many digits as say something: `$0.03`, `$0.0021`, `$0`. */
export function brief(amount: number): string {
  return amount === 0 ? '$0' : usd(amount, amount >= 0.01 ? 2 : 4);
}

export function quoteView(quote: Quote): HTMLElement {
  const range = quote.low !== null && quote.high !== null && quote.high > quote.low ? `${brief(quote.low)} to ${brief(quote.high)}` : '';
  const why = [range, quote.basis && `from ${quote.basis}`].filter(Boolean).join(', ');
  return el('span', { class: 'orch-quote', title: why || null, 'aria-label': `about ${brief(quote.about)}${why ? `: ${why}` : ''}`, role: 'note' }, `about ${brief(quote.about)}`);
}
