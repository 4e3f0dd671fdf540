/** What this extension adds to JupyterLab and Notebook, besides the renderers of mime.ts. Wiring only. */

import commands from './commands.js';
import diagnostics from './diagnostics.js';
import highlight from './highlight.js';
import link from './comm.js';
import quote from './quote.js';
import runs from './runs.js';
import status from './status.js';

export { STAMP } from './stamp.js';
export default [highlight, link, diagnostics, quote, runs, status, commands];
