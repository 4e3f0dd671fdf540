/** The places of the values that a prompt reads in its text. */

export interface Mark {
  readonly text: string;
  /** The read whose value this is; "" for the prompt's own words. */
  readonly read: string;
}

const LEAST = 3;
const MOST_MARKS = 200;

/** `said` in pieces: its own words, and the values of reads. Longer values are sought first. */
export function marked(said: string, reads: readonly (readonly [string, string])[]): Mark[] {
  let pieces: Mark[] = [{ text: said, read: '' }];
  const sought = reads.filter(([, value]) => value.trim().length >= LEAST).sort((a, b) => b[1].length - a[1].length);
  for (const [read, value] of sought) {
    pieces = pieces.flatMap(piece => (piece.read === '' ? split(piece.text, read, value) : [piece]));
    if (pieces.length > MOST_MARKS) {
      break;
    }
  }
  return pieces.filter(piece => piece.text !== '');
}

function split(own: string, read: string, value: string): Mark[] {
  const parts = own.split(value);
  if (parts.length > MOST_MARKS) {
    return [{ text: own, read: '' }];
  }
  return parts.flatMap((part, i) => (i === 0 ? [{ text: part, read: '' }] : [{ text: value, read }, { text: part, read: '' }]));
}
