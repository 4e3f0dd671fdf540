/** The style sheet, once in the page, whichever entry comes first. */

import { STYLE } from './stamp.js';

let hasStyles = false;

export function addStyles(): void {
  if (!hasStyles) {
    hasStyles = true;
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    document.adoptedStyleSheets.push(sheet);
  }
}
