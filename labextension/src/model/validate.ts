/** Reading data that anybody may have written: whatever comes, these return a value of the type asked for. */

export type Fields = Readonly<Record<string, unknown>>;

/** Characters of one text that are shown; the whole is in the store. Python cuts at 8,192 and says so in the rest. */
export const FIELD_LIMIT = 8192 + 64;

/** Larger numbers cannot be a count, a time or a sum. */
const MOST = 1e12;

/** Control characters, bidirectional overrides, zero-width and tag characters: they hide, or move what follows. */
const HIDDEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]|\udb40[\udc00-\udfff]/g;

function shown(char: string): string {
  const code = char.codePointAt(0) ?? 0;
  const digits = code < 0x100 ? 2 : code < 0x10000 ? 4 : 8;
  return `\\${digits === 2 ? 'x' : digits === 4 ? 'u' : 'U'}${code.toString(16).padStart(digits, '0')}`;
}

/** `value` as text in which nothing is invisible, cut with a mark at `limit` characters. */
export function text(value: unknown, limit = FIELD_LIMIT): string {
  if (value === null || value === undefined) {
    return '';
  }
  const whole = typeof value === 'string' ? value : typeof value === 'object' ? json(value) : String(value);
  const cut = whole.length > limit ? whole.slice(0, limit) : whole;
  const clean = cut.replace(HIDDEN, shown);
  return cut === whole ? clean : `${clean}… (cut: ${group(limit)} of ${group(whole.length)} characters)`;
}

/** `text` in one line. */
export function line(value: unknown, limit = 160): string {
  const flat = text(value, 4 * limit).split(/\s+/).join(' ').trim();
  return flat.length > limit ? `${flat.slice(0, limit - 1)}…` : flat;
}

function json(value: object): string {
  try {
    return JSON.stringify(value, null, 1) ?? '';
  } catch {
    return '(data that cannot be shown)';
  }
}

function group(whole: number): string {
  return whole.toLocaleString('en-US');
}

/** A finite number between bounds; `fallback` for anything else. Money comes as text with decimal digits. */
export function number(value: unknown, fallback = 0, least = -MOST, most = MOST): number {
  const read = typeof value === 'string' && value.length <= 40 && value !== '' ? Number(value) : value;
  return typeof read === 'number' && Number.isFinite(read) ? Math.min(most, Math.max(least, read)) : fallback;
}

/** A number, or null where there is none: unknown is not zero. */
export function known(value: unknown): number | null {
  const read = number(value, NaN);
  return Number.isNaN(read) ? null : read;
}

/** A whole number from 0 to `most`. */
export function count(value: unknown, most = MOST): number {
  return Math.floor(number(value, 0, 0, most));
}

/** At most `most` items of a list; none of anything else. */
export function list(value: unknown, most: number): readonly unknown[] {
  return Array.isArray(value) ? (value.length > most ? value.slice(0, most) : value) : [];
}

/** A list of short texts. */
export function words(value: unknown, most = 100, limit = 200): string[] {
  return list(value, most).map(item => text(item, limit));
}

/** A mapping's own fields; none of anything else. */
export function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

/** A mapping as rows, in its order. */
export function entries(value: unknown, most = 100): [string, unknown][] {
  return Object.entries(fields(value)).slice(0, most);
}
