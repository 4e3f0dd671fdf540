/** Underlines what is unknown in `%%agent` and `%%graph` cells and in `%orch` lines, as the kernel's own readers say it. */

import type { Range, Text } from '@codemirror/state';
import { Decoration, EditorView, hoverTooltip, type Tooltip } from '@codemirror/view';
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IEditorExtensionRegistry } from '@jupyterlab/codemirror';
import { cellHints } from './cell_hints.js';
import { ILinks, type Links } from './comm.js';
import { isOurs } from './model/cell.js';
import { readMarks, type Mark } from './model/client.js';
import { markView } from './view/mark.js';

function decorate(doc: Text, mark: Mark): Range<Decoration> | null {
  if (mark.line >= doc.lines) {
    return null;
  }
  const line = doc.line(mark.line + 1);
  const from = Math.min(line.from + mark.column, Math.max(line.from, line.to - 1));
  const to = Math.min(line.to, from + mark.length);
  const attributes = { 'aria-invalid': 'true', 'aria-description': `${mark.message} ${mark.hint}`.trim() };
  return to > from ? Decoration.mark({ class: `orch-slip orch-slip-${mark.tone}`, attributes, mark }).range(from, to) : null;
}

/** The marks below the pointer. */
function hover(view: EditorView, at: number): Tooltip | null {
  for (const layer of view.state.facet(EditorView.decorations)) {
    const found: { from: number; to: number; mark: Mark }[] = [];
    (typeof layer === 'function' ? layer(view) : layer).between(at, at, (from, to, one) => {
      const mark: unknown = one.spec['mark'];
      if (mark !== undefined) {
        found.push({ from, to, mark: mark as Mark });
      }
    });
    const first = found[0];
    if (first !== undefined) {
      return { pos: first.from, end: first.to, above: true, create: () => ({ dom: markView(found.map(one => one.mark)) }) };
    }
  }
  return null;
}

const plugin: JupyterFrontEndPlugin<void> = {
  id: '@orch-nb/labextension:diagnostics',
  description: 'Marks unknown names in cells of orch_nb.',
  autoStart: true,
  requires: [IEditorExtensionRegistry, ILinks],
  activate: (_app: JupyterFrontEnd, registry: IEditorExtensionRegistry, links: Links) => {
    const ask = cellHints(links, {
      wants: doc => isOurs(doc.toString()),
      ask: async (link, doc) => {
        const answer = await link.ask('check', { cell: doc.toString() });
        return answer === null ? null : readMarks(answer).map(mark => decorate(doc, mark)).filter(one => one !== null);
      }
    });
    registry.addExtension({ name: '@orch-nb/labextension:diagnostics', factory: () => ({ instance: () => [ask, hoverTooltip(hover)], reconfigure: () => null }) });
  }
};

export default plugin;
