/**
 * Colours in `%%agent` and `%%graph` cells.
 *
 * A cell's MIME type cannot be set: the notebook's own language arrives later and wins. So each editor carries a
 * compartment; whenever the first line begins to be, or stops being, one of ours, the same transaction puts our language
 * into it at the highest precedence, or takes it out.
 */

import { Language, LanguageSupport, StreamLanguage } from '@codemirror/language';
import { Compartment, EditorState, Prec, type Extension, type Text } from '@codemirror/state';
import { ViewPlugin, type EditorView } from '@codemirror/view';
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IEditorExtensionRegistry } from '@jupyterlab/codemirror';
import { cellKind, startState, token, type CellKind } from './model/cell.js';

const language: Language = StreamLanguage.define({
  name: 'orch',
  startState,
  copyState: state => ({ ...state }),
  token,
  languageData: { commentTokens: { line: '#' } }
});
const ours: Extension = Prec.highest(new LanguageSupport(language));

function kindOf(text: Text): CellKind | null {
  return cellKind(text.line(1).text);
}

/** What one editor needs. */
function cellLanguage(): Extension {
  const place = new Compartment();
  const change = EditorState.transactionExtender.of(transaction => {
    const is = kindOf(transaction.newDoc) !== null;
    const was = kindOf(transaction.startState.doc) !== null;
    return transaction.docChanged && is !== was ? { effects: place.reconfigure(is ? ours : []) } : null;
  });
  // A cell that is ours from the beginning has no transaction that says so.
  const begin = ViewPlugin.define((view: EditorView) => {
    if (kindOf(view.state.doc) !== null) {
      queueMicrotask(() => view.dispatch({ effects: place.reconfigure(ours) }));
    }
    return {};
  });
  return [place.of([]), change, begin];
}

const plugin: JupyterFrontEndPlugin<void> = {
  id: '@orch-nb/labextension:highlight',
  description: 'Colours %%agent and %%graph cells.',
  autoStart: true,
  requires: [IEditorExtensionRegistry],
  activate: (_app: JupyterFrontEnd, registry: IEditorExtensionRegistry) => {
    registry.addExtension({
      name: '@orch-nb/labextension:cells',
      factory: () => ({ instance: () => cellLanguage(), reconfigure: () => null })
    });
  }
};

export default plugin;
