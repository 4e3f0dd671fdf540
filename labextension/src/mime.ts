/** The two MIME renderers. They need no kernel, no server and no trust: data goes in, text nodes come out. */

import type { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { Widget } from '@lumino/widgets';
import { addStyles } from './theme.js';
import type { RunRow } from './model/client.js';
import { GRAPH, TRACE, readBundle } from './model/run.js';
import { LIVE, OPEN } from './outputs.js';
import { Panel } from './view/panel.js';

class OrchRenderer extends Widget implements IRenderMime.IRenderer {
  private readonly panel = new Panel();

  constructor(private readonly mime: string) {
    super();
    this.addClass('orch-output');
    this.node.append(this.panel.node);
    this.node.addEventListener(LIVE, event => this.panel.live((event as CustomEvent<RunRow>).detail));
    this.node.addEventListener(OPEN, () => this.panel.openTrace());
  }

  renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const data = readBundle(this.mime, model.data[this.mime]);
    this.node.dataset['run'] = data.kind === 'run' ? data.run : '';
    this.panel.show(data);
    return Promise.resolve();
  }
}

function extension(mime: string, name: string): IRenderMime.IExtension {
  return {
    id: `@orch-nb/labextension:${name}`,
    description: `Shows ${mime}.`,
    rendererFactory: { safe: true, mimeTypes: [mime], defaultRank: 0, createRenderer: () => new OrchRenderer(mime) },
    rank: 0,
    dataType: 'json'
  };
}

addStyles();

export default [extension(GRAPH, 'graph'), extension(TRACE, 'trace')];
