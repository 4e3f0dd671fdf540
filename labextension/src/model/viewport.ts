/** Where a picture is looked at: a point of it lies at `x + scale * point`. Pure arithmetic. */

export interface Viewport {
  readonly x: number;
  readonly y: number;
  readonly scale: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

export const LEAST = 0.05;
export const MOST = 4;
/** Below the first the text of a node cannot be read; then the picture is shown at the second, and dragged. */
const LEGIBLE = 0.64;
const READABLE = 0.85;

/** The whole picture in the window, never larger than life. A small graph is rather cut at the right than made unreadable. */
export function fit(picture: Size, window: Size, whole = false): Viewport {
  const both = Math.min(1, window.width / Math.max(1, picture.width), window.height / Math.max(1, picture.height));
  const huge = picture.width * READABLE > 3 * window.width || picture.height * READABLE > 3 * window.height;
  const scale = whole || huge || both >= LEGIBLE ? both : READABLE;
  const x = Math.max(0, (window.width - picture.width * scale) / 2);
  const y = (window.height - picture.height * scale) / 2;
  return clamp({ x, y: Math.max(0, y), scale }, picture, window);
}

/** The same picture nearer or farther, with the point at (`x`, `y`) of the window held where it is. */
export function zoomAt(view: Viewport, factor: number, x: number, y: number): Viewport {
  const scale = Math.min(MOST, Math.max(LEAST, view.scale * factor));
  const ratio = scale / view.scale;
  return { x: x - (x - view.x) * ratio, y: y - (y - view.y) * ratio, scale };
}

/** Some of the picture stays in the window: the lesser of 60 pixels and all of it. */
export function clamp(view: Viewport, picture: Size, window: Size): Viewport {
  const hold = 60;
  const limit = (at: number, drawn: number, room: number): number =>
    Math.min(room - Math.min(hold, drawn), Math.max(at, Math.min(hold, drawn) - drawn));
  return {
    x: limit(view.x, picture.width * view.scale, window.width),
    y: limit(view.y, picture.height * view.scale, window.height), scale: view.scale
  };
}

/** The least move that brings a box into the window, with some air around it. */
export function reveal(view: Viewport, box: { x: number; y: number; width: number; height: number }, window: Size): Viewport {
  const air = 16;
  const move = (at: number, size: number, room: number): number => {
    const start = at - air;
    const over = at + size + air - room;
    return start < 0 ? -start : over > 0 ? -Math.min(over, start) : 0;
  };
  return {
    x: view.x + move(view.x + box.x * view.scale, box.width * view.scale, window.width),
    y: view.y + move(view.y + box.y * view.scale, box.height * view.scale, window.height), scale: view.scale
  };
}
