import { describe, expect, test } from 'vitest';
import { drawText, GLYPH_HEIGHT, textWidth } from './font.ts';
import { drawPanels, reconstructionPanels } from './panels.ts';
import type { RgbImage } from './png.ts';

/** Every pixel of one colour, as "x,y". */
function pixels({ width, data }: RgbImage, [r, g, b]: readonly number[]): string[] {
  const found: string[] = [];
  for (let i = 0; i < data.length; i += 3)
    if (data[i] === r && data[i + 1] === g && data[i + 2] === b)
      found.push(`${(i / 3) % width},${Math.floor(i / 3 / width)}`);
  return found;
}

const size = [5, 7, 6] as const;
const range = [0, 1] as const;
const volume = (value: (x: number, y: number, z: number) => number) =>
  Float32Array.from({ length: 210 }, (_, i) => value(Math.floor(i / 42), Math.floor(i / 6) % 7, i % 6));
const LINE = 20;

describe('slices', () => {
  test("the patient's right is on the left, the front and the head are at the top", () => {
    // one voxel: x 4 of 0..4 (rightmost), y 5 of 0..6 (one behind the front), z 1 of 0..5 (one above the feet)
    const bright = volume((x, y, z) => (x === 4 && y === 5 && z === 1 ? 1 : 0.5));
    const zoom = 30;
    const image = drawPanels([{ title: '', volume: bright, range }], { size, at: [4, 5, 1], zoom });
    // under the titles, each plane has a line for its name, its slice and a gap; letters may cover parts of a voxel
    const heights = [7, 6, 6];
    let top = 12 + LINE;
    const found = heights.map((height) => {
      top += LINE;
      const inside = pixels(image, [255, 255, 255]).map((pixel) => pixel.split(',').map(Number) as [number, number]);
      const voxels = inside
        .filter(([, y]) => y >= top && y < top + height * zoom)
        .map(([x, y]) => `column ${Math.floor((x - 12) / zoom)}, row ${Math.floor((y - top) / zoom)}`);
      top += height * zoom + 12;
      return [...new Set(voxels)];
    });
    expect(found).toEqual([['column 0, row 1'], ['column 0, row 4'], ['column 1, row 4']]);
  });

  test('a slice shows the plane through the voxel asked for, enlarged by whole pixels', () => {
    const layers = volume((_x, _y, z) => z / 5);
    const grey = (z: number) => {
      const image = drawPanels([{ title: '', volume: layers, range }], { size, at: [0, 0, z], zoom: 10 });
      const at = ((12 + 2 * LINE + 2) * image.width + 14) * 3;
      return [...image.data.subarray(at, at + 3)];
    };
    for (let z = 0; z < 6; z++) expect(grey(z)).toEqual([51 * z, 51 * z, 51 * z]);
  });

  test('values outside of the range are cut off, hidden ones have a colour of their own', () => {
    const options = { size, zoom: 1 };
    const draw = (value: number) => drawPanels([{ title: '', volume: volume(() => value), range }], options);
    const drawn = 5 * 7 + 5 * 6 + 7 * 6;
    // the letters lie over the slices, so only a part of the pixels is left; outside there is none of these colours
    for (const [value, colour] of [
      [7, [255, 255, 255]],
      [-7, [0, 0, 0]],
      [NaN, [52, 66, 92]],
      [Infinity, [255, 255, 255]],
    ] as const) {
      const count = pixels(draw(value), colour).length;
      expect(count).toBeGreaterThan(0);
      expect(count).toBeLessThanOrEqual(drawn);
    }
  });

  test('differences: red above, blue below, black at zero', () => {
    const colour = (value: number) => {
      const columns = [{ title: '', volume: volume(() => value), range: [-1, 1] as const, colours: 'signed' as const }];
      const image = drawPanels(columns, { size, zoom: 30 });
      const at = ((12 + 2 * LINE + 2) * image.width + 14) * 3;
      return [...image.data.subarray(at, at + 3)];
    };
    expect(colour(0)).toEqual([0, 0, 0]);
    expect(colour(0.4)).toEqual([153, 0, 0]);
    expect(colour(-0.4)).toEqual([0, 0, 153]);
    expect(colour(9)).toEqual([255, 191, 96]);
  });

  test('columns stand side by side, wide enough for their titles; a caption widens the picture', () => {
    const column = { title: 'reconstructed', volume: volume(() => 0), range };
    const one = drawPanels([column], { size, zoom: 1 });
    const three = drawPanels([column, column, column], { size, zoom: 1 });
    expect(three.width - one.width).toBe(2 * (textWidth(column.title, 2) + 12));
    const caption = 'step 12 '.repeat(20);
    expect(drawPanels([column], { size, zoom: 1, caption }).width).toBe(textWidth(caption, 2) + 24);
  });

  test('the panels of a run are a PNG of four columns', () => {
    const original = volume((x) => x / 4);
    const png = reconstructionPanels(
      { original, masked: original.map((v, i) => (i % 2 ? NaN : v)), reconstructed: original, window: range },
      { size, caption: 'step 1' },
    );
    const view = new DataView(png.buffer);
    const widths = ['original', 'masked', 'reconstructed', 'error ±0.5'].map((title) =>
      Math.max(7 * 34, textWidth(title, 2)),
    );
    expect(view.getUint32(16)).toBe(widths.reduce((sum, width) => sum + width + 12, 12));
    expect(view.getUint32(20)).toBe(12 + 2 * LINE + 3 * LINE + (7 + 6 + 6) * 34 + 3 * 12);
  });

  test.each([
    ['a volume of another size', { size: [5, 7, 5] as const }, range, '"v" with 210 voxels, need 175'],
    ['no size', { size: [5, 7, 0] as const }, range, 'size [5,7,0]'],
    ['a voxel outside', { size, at: [5, 0, 0] as const }, range, 'voxel [5,0,0]'],
    ['half a pixel', { size, zoom: 0.5 }, range, 'zoom 0.5'],
    ['an empty range', { size }, [1, 1] as const, 'range [1,1] of "v"'],
  ])('refuses %s', (_, options, values, message) => {
    expect(() => drawPanels([{ title: 'v', volume: volume(() => 0), range: values }], options)).toThrow(message);
  });
});

describe('letters', () => {
  const draw = (text: string, width = 12, left = 0) => {
    const image: RgbImage = {
      width,
      height: GLYPH_HEIGHT,
      channels: 3,
      data: new Uint8Array(width * GLYPH_HEIGHT * 3),
    };
    drawText(image, text, left, 0, 1, [1, 1, 1]);
    return pixels(image, [1, 1, 1]).join(' ');
  };

  test('every character has a shape of its own, small ones that of the capital, unknown ones that of "?"', () => {
    const characters = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,:-+/%()=±? '];
    expect(new Set(characters.map((c) => draw(c))).size).toBe(characters.length);
    expect(draw('r')).toBe(draw('R'));
    expect(draw('ß')).toBe(draw('SS'));
    expect(draw('😀')).toBe(draw('?'));
    expect(draw(' ')).toBe('');
  });

  test('what does not fit is left out, and nothing wraps around', () => {
    for (const point of draw('HH', 8).split(' ')) expect(Number(point.split(',')[0])).toBeLessThan(8);
    expect(draw('H', 8, -6)).toBe('');
    expect(draw('H', 8, 8)).toBe('');
  });
});
