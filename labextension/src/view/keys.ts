/**
 * Keys inside an output. JupyterLab hears keys on the document before any element does, so that Enter would edit the
 * cell and arrows would leave it. While focus is inside of `root` a listener on the window, which comes first, offers each
 * key to `handle`; what it takes goes no further, and everything else (save, run, the palette) is left alone.
 */
export function ownKeys(root: HTMLElement, handle: (event: KeyboardEvent) => boolean): void {
  const hear = (event: KeyboardEvent): void => {
    const inside = event.target instanceof Node && root.contains(event.target);
    if (inside && !event.isComposing && handle(event)) {
      event.preventDefault();
      event.stopImmediatePropagation();
    }
  };
  const away = (event: FocusEvent): void => {
    if (!(event.relatedTarget instanceof Node && root.contains(event.relatedTarget))) {
      window.removeEventListener('keydown', hear, true);
    }
  };
  root.addEventListener('focusin', () => window.addEventListener('keydown', hear, true));
  root.addEventListener('focusout', away);
}

/** Whether a key comes without Ctrl, Alt or Meta. */
export function isPlain(event: KeyboardEvent): boolean {
  return !event.ctrlKey && !event.altKey && !event.metaKey;
}

/** Whether a key would be typed into a field. */
export function isTyping(event: KeyboardEvent): boolean {
  return event.target instanceof HTMLInputElement || event.target instanceof HTMLSelectElement;
}
