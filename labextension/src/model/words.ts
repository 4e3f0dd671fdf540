/** States, money and time in the few characters that a display has. The same words as Python's. */

const GLYPHS: Readonly<Record<string, string>> = {
  success: '✓', passed: '✓', done: '✓', reused: '↻', skipped: '–', running: '▸', waiting: '‖', due: '·',
  semantic_failure: '≠', exception: '✕', failed: '✕', rejected: '✕', retried: '↺', 'in doubt': '?',
  cancelled: '⊘', interrupted: '⊘', pending: '·'
};

/** What a state means for its colour. Colour is never alone: glyph and word are beside it. */
export type Tone = 'ok' | 'run' | 'warn' | 'bad' | 'reuse' | 'quiet';

const TONES: Readonly<Record<string, Tone>> = {
  success: 'ok', passed: 'ok', done: 'ok', reused: 'reuse', running: 'run', waiting: 'warn', semantic_failure: 'bad',
  exception: 'bad', failed: 'bad', rejected: 'warn', retried: 'warn', 'in doubt': 'warn', cancelled: 'warn',
  interrupted: 'warn'
};

export function glyph(state: string): string {
  return Object.hasOwn(GLYPHS, state) ? (GLYPHS[state] ?? '·') : '·';
}

export function tone(state: string): Tone {
  return Object.hasOwn(TONES, state) ? (TONES[state] ?? 'quiet') : 'quiet';
}

/** `semantic_failure` → `semantic failure`. */
export function word(state: string): string {
  return state.replaceAll('_', ' ');
}

/** Dollars with `places` digits, more where they would all be zero; null is `$?`. */
export function usd(amount: number | null, places = 4): string {
  if (amount === null) {
    return '$?';
  }
  const size = Math.abs(amount);
  let digits = places;
  if (size > 0 && size < 10 ** -places) {
    digits = Math.min(12, Math.max(places, -Math.floor(Math.log10(size)) + 1));
  }
  const shown = size.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits });
  const trimmed = digits > places ? shown.replace(/0$/, '') : shown;
  return `${amount < 0 ? '-' : ''}$${trimmed}`;
}

/** Digits after the point that a column of dollars needs: 4, 6 or 8. */
export function places(amounts: Iterable<number | null>): number {
  let least = 1;
  for (const amount of amounts) {
    if (amount) {
      least = Math.min(least, Math.abs(amount));
    }
  }
  return least >= 1e-4 ? 4 : least >= 1e-6 ? 6 : 8;
}

/** Seconds for people: `0.02 s`, `3.4 s`, `2 min 05 s`; null is `–`. */
export function seconds(value: number | null): string {
  if (value === null) {
    return '–';
  }
  if (value < 0.0995) {
    return `${value.toFixed(value < 0.00995 ? 3 : 2)} s`;
  }
  if (value < 60) {
    return `${value.toFixed(1)} s`;
  }
  const whole = Math.floor(value);
  const two = (n: number): string => String(n).padStart(2, '0');
  return whole < 3600
    ? `${Math.floor(whole / 60)} min ${two(whole % 60)} s`
    : `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

/** `2,184`. */
export function integer(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** `1 token`, `2,184 tokens`. */
export function counted(value: number, noun: string, plural = `${noun}s`): string {
  return `${integer(value)} ${value === 1 ? noun : plural}`;
}

/** `12 %`. */
export function percent(share: number): string {
  return share > 0 && share < 0.005 ? '< 1 %' : `${Math.round(share * 100)} %`;
}
