/** Decorations of a cell's text that the kernel is asked for once the writing rests. Without a kernel there are none. */

import { StateEffect, StateField, type Extension, type Range, type Text } from '@codemirror/state';
import { Decoration, EditorView, ViewPlugin, type DecorationSet, type ViewUpdate } from '@codemirror/view';
import type { Link, Links } from './comm.js';

const REST_MS = 450;

/** What one kind of decoration needs to be asked for. */
export interface CellHints {
  /** Whether a cell has anything to ask about. */
  wants(doc: Text): boolean;
  ask(link: Link, doc: Text): Promise<Range<Decoration>[] | null>;
}

/** An editor's extension that keeps them up to date: after changes, and after cells have run. */
export function cellHints(links: Links, what: CellHints): Extension {
  const set = StateEffect.define<DecorationSet>();
  const field = StateField.define<DecorationSet>({
    create: () => Decoration.none,
    update: (before, transaction) => transaction.effects.reduce((now, effect) => (effect.is(set) ? effect.value : now), before.map(transaction.changes)),
    provide: one => EditorView.decorations.from(one)
  });
  return [field, ViewPlugin.define(view => new Asking(view, links, what, () => view.state.field(field).size > 0, now => set.of(now)))];
}

class Asking {
  private timer = 0;
  private link: Link | null = null;
  private leave = (): void => undefined;
  private answered = false;

  constructor(
    private readonly view: EditorView, private readonly links: Links, private readonly what: CellHints,
    private readonly isShown: () => boolean, private readonly effect: (now: DecorationSet) => StateEffect<DecorationSet>
  ) {
    this.soon();
  }

  update(update: ViewUpdate): void {
    if (update.docChanged) {
      this.soon();
    }
  }

  destroy(): void {
    clearTimeout(this.timer);
    this.leave();
  }

  private soon(): void {
    clearTimeout(this.timer);
    this.timer = Number(setTimeout(() => void this.look(), REST_MS));
  }

  private async look(): Promise<void> {
    this.findLink();
    const doc = this.view.state.doc;
    const found = this.link === null || !this.what.wants(doc) ? null : await this.what.ask(this.link, doc);
    this.answered = found !== null;
    if (doc.eq(this.view.state.doc) && (found !== null || this.isShown())) {
      this.view.dispatch({ effects: this.effect(Decoration.set(found ?? [], true)) });
    }
  }

  private findLink(): void {
    if (this.link === null) {
      this.link = this.links.around(this.view.dom);
      this.leave = this.link?.client.follow(change => change === 'runs' && this.again()) ?? this.leave;
    }
  }

  /** A cell has run: names may be others. Cells that were fine and are not being looked at stay as they are. */
  private again(): void {
    if (!this.answered || this.isShown() || this.view.hasFocus) {
      this.soon();
    }
  }
}
