/** The style sheet, once in the page, whichever entry comes first. */

import { STYLE } from './stamp.js';

let isDressed = false;

export function dress(): void {
  if (!isDressed) {
    isDressed = true;
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    document.adoptedStyleSheets.push(sheet);
  }
}
