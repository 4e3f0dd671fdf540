/** About what a run costs, at the end of the line that starts it. */

import { Decoration, WidgetType } from '@codemirror/view';
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IEditorExtensionRegistry } from '@jupyterlab/codemirror';
import { cellHints } from './cell_hints.js';
import { ILinks, type Links } from './comm.js';
import { runLine } from './model/cell.js';
import { readQuote, type Quote } from './model/client.js';
import { quoteView } from './view/quote.js';

class QuoteHint extends WidgetType {
  constructor(private readonly quote: Quote) {
    super();
  }

  override eq(other: QuoteHint): boolean {
    return JSON.stringify(other.quote) === JSON.stringify(this.quote);
  }

  toDOM(): HTMLElement {
    return quoteView(this.quote);
  }
}

const plugin: JupyterFrontEndPlugin<void> = {
  id: '@orch-nb/labextension:quote',
  description: 'Says what a %orch run line is likely to cost.',
  autoStart: true,
  requires: [IEditorExtensionRegistry, ILinks],
  activate: (_app: JupyterFrontEnd, registry: IEditorExtensionRegistry, links: Links) => {
    const ask = cellHints(links, {
      wants: doc => runLine(doc.toString()) >= 0,
      ask: async (link, doc) => {
        const line = doc.line(runLine(doc.toString()) + 1);
        const answer = await link.ask('quote', { line: line.text });
        const quote = answer === null ? null : readQuote(answer);
        return quote === null ? null : [Decoration.widget({ widget: new QuoteHint(quote), side: 1 }).range(line.to)];
      }
    });
    registry.addExtension({ name: '@orch-nb/labextension:quote', factory: () => ({ instance: () => ask, reconfigure: () => null }) });
  }
};

export default plugin;
