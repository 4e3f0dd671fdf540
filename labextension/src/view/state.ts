/** A state as it is shown everywhere: glyph in its tone, word in ink. */

import { glyph, tone, word } from '../model/words.js';
import { el } from './dom.js';

/** Glyph and word. */
export function stateMark(state: string, className = ''): HTMLElement {
  return el('span', { class: `orch-state ${className}` }, stateGlyph(state), ' ', el('span', {}, word(state)));
}

/** The glyph alone, for where the word is elsewhere or is said to screen readers. */
export function stateGlyph(state: string): HTMLElement {
  return el('span', { class: `orch-glyph orch-tone-${tone(state)}`, 'aria-hidden': 'true' }, glyph(state));
}
