/** A slice on a canvas: scaled to fit, in the body's proportions, with a crosshair and a scale bar. */

export interface SliceDrawing {
  readonly image: ImageData;
  /** Of a pixel of `image`, mm. */
  readonly pixel: readonly [number, number];
  /** In pixels of `image`, its middle. */
  readonly cross?: readonly [number, number];
  readonly smooth: boolean;
  /** With a scale bar, mm. */
  readonly bar?: boolean;
}

/** Where the slice lies on the canvas, in device pixels. */
export interface Placement {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

const scratch = document.createElement('canvas');

/** Draws, and says where. Undefined while the canvas has no size. */
export function drawSlice(canvas: HTMLCanvasElement, drawing: SliceDrawing): Placement | undefined {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
  if (width === 0 || height === 0) return undefined;
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext('2d')!;
  const { image, pixel, cross, smooth, bar } = drawing;
  const scale = Math.min(width / (image.width * pixel[0]), height / (image.height * pixel[1]));
  const [w, h] = [image.width * pixel[0] * scale, image.height * pixel[1] * scale];
  const place: Placement = { left: (width - w) / 2, top: (height - h) / 2, width: w, height: h };
  scratch.width = image.width;
  scratch.height = image.height;
  scratch.getContext('2d')!.putImageData(image, 0, 0);
  context.fillStyle = '#000';
  context.fillRect(0, 0, width, height);
  context.imageSmoothingEnabled = smooth;
  context.drawImage(scratch, place.left, place.top, w, h);
  if (cross) {
    const x = Math.round(place.left + ((cross[0] + 0.5) / image.width) * w) + 0.5;
    const y = Math.round(place.top + ((cross[1] + 0.5) / image.height) * h) + 0.5;
    const gap = 9 * ratio;
    context.strokeStyle = 'rgba(255, 205, 70, 0.75)';
    context.lineWidth = ratio;
    context.beginPath();
    for (const [x0, y0, x1, y1] of [
      [place.left, y, x - gap, y],
      [x + gap, y, place.left + w, y],
      [x, place.top, x, y - gap],
      [x, y + gap, x, place.top + h],
    ] as const) {
      if (x1 > x0 || y1 > y0) {
        context.moveTo(x0, y0);
        context.lineTo(x1, y1);
      }
    }
    context.stroke();
  }
  if (bar) drawBar(context, scale, ratio);
  return place;
}

/** The longest of some round lengths that takes at most a quarter of the canvas, at the lower left. */
function drawBar(context: CanvasRenderingContext2D, pixelsPerMm: number, ratio: number): void {
  const { width, height } = context.canvas;
  const mm = [200, 100, 50, 20, 10, 5, 2, 1].find((length) => length * pixelsPerMm <= width / 4);
  if (!mm) return;
  const [x, y, length] = [10 * ratio, height - 10 * ratio, mm * pixelsPerMm];
  context.font = `${11 * ratio}px system-ui, sans-serif`;
  context.textAlign = 'left';
  for (const [colour, thickness] of [
    ['rgba(0, 0, 0, 0.7)', 4],
    ['#d5dbe2', 1.5],
  ] as const) {
    context.strokeStyle = colour;
    context.fillStyle = colour;
    context.lineWidth = thickness * ratio;
    context.beginPath();
    for (const end of [x, x + length]) {
      context.moveTo(end, y - 4 * ratio);
      context.lineTo(end, y);
    }
    context.moveTo(x, y);
    context.lineTo(x + length, y);
    context.stroke();
    if (thickness > 2) context.strokeText(`${mm} mm`, x + 4 * ratio, y - 6 * ratio);
    else context.fillText(`${mm} mm`, x + 4 * ratio, y - 6 * ratio);
  }
}

/** The pixel of the image under a pointer, cut off at the edges. */
export function pixelAt(
  canvas: HTMLCanvasElement,
  place: Placement,
  image: { readonly width: number; readonly height: number },
  event: MouseEvent,
): readonly [number, number] {
  const ratio = window.devicePixelRatio || 1;
  const box = canvas.getBoundingClientRect();
  const within = (value: number, count: number) => Math.max(0, Math.min(count - 1, Math.floor(value * count)));
  return [
    within(((event.clientX - box.left) * ratio - place.left) / place.width, image.width),
    within(((event.clientY - box.top) * ratio - place.top) / place.height, image.height),
  ];
}
